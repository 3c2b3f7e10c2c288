"""The lab in the browser: `streamlit run app.py`, or `python -m lab serve`.

The frame only: which pages there are, and the sidebar. Each page is a file in pages/.
"""

from pathlib import Path

import streamlit as st
from streamlit.runtime.pages_manager import PagesManager

from lab.ui import assets, frame, look, warm
from lab.ui.state import workspace

PAGES = Path(__file__).parent / "pages"
ICON = str(Path(__file__).parent / "lab" / "ui" / "icon.svg")  # a named icon asks the network
SECTIONS = {
    "": [
        ("home", "Home", "home", "What this is, a demo in one click, and your runs."),
    ],
    "Train": [
        ("data", "Data", "photo_library", "Import pictures and see what is in them."),
        ("schedule", "Schedule", "stairs", "Choose sizes and epochs, see the cost, launch."),
        ("experiment", "Experiment", "science", "Ask a question: arms, seeds, launched as one."),
        ("runs", "Runs", "monitoring", "Watch a run live, stop it, continue it."),
    ],
    "Understand": [
        ("compare", "Compare", "balance", "Which run is better, and is that more than luck?"),
        ("inspect", "Inspect", "search", "Mistakes, picture by picture; test-time augmentation."),
        ("predict", "Predict", "image_search", "Your own pictures: answers, table, submission."),
        ("export", "Export", "download", "Take a trained network home."),
    ],
}


def page(name: str, title: str, icon: str, words: str) -> st.Page:
    """A page of the navigation."""
    file, first = str(PAGES / f"{name}.py"), name == "home"
    return st.Page(file, title=title, icon=f":material/{icon}:", help=words, default=first)


if __name__ == "__main__":
    st.set_page_config("Progressive resizing lab", ICON, layout="wide")
    look.apply()
    sections = {name: [page(*about) for about in pages] for name, pages in SECTIONS.items()}
    chosen = st.navigation(sections)
    frame.start(workspace())
    chosen.run()
    frame.sidebar()
else:
    # Until the first st.navigation, Streamlit takes pages/ for an app of the old style: the first
    # visitor of a server who came by a link to a page got that page without its frame, for good.
    PagesManager.uses_pages_directory = False
    app = st.App(__file__, routes=assets.routes(), lifespan=warm.lifespan)
