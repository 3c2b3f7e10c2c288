"""Export: a finished stage as a package that works without the lab."""

import streamlit as st

from lab.ui import choose, state, take_home, tasks
from lab.ui import format as fmt
from lab.ui.messages import guard, plain

st.title("How do you take it home?")
with guard():
    run, stage, info = choose.run_and_stage("export")
    name = run.recipe().name or run.id
slot = f"export.{run.id}.{stage}"
about = {"run": run.id, "stage": stage}
if tasks.watch(slot, ("export",), about):
    st.toast("The export is ready.")
found = take_home.package(state.workspace(), run, stage, info)
error, size = info["final"]["error_rate"], choose.size_words(info["final_size"])
st.write(
    f"**{plain(name)}**, stage {stage + 1}: {plain(info['model']['name'])}, "
    f"{fmt.count(len(info['model']['classes']))} classes, {fmt.percent(error)} error at {size} on "
    f"{fmt.count(info['final']['n'])} validation pictures."
)
if words := take_home.second_words(info):
    st.write(plain(words))

# Make it, or fetch it
if found is None:
    if st.button(
        "Prepare export", type="primary", key="export.prepare", disabled=tasks.busy(slot)
    ):  # fmt: skip
        with guard():
            tasks.start(slot, "export", about)
        st.rerun()
    st.caption("It is written, loaded again and compared on some pictures: a few seconds.")
else:
    st.success(take_home.parity_words(found.parity), icon=":material/verified:")
    archive = take_home.file_name(name, info)
    st.download_button(
        f"Download {archive} ({fmt.bytes_of(found.bytes)})", found.zip.read_bytes, archive,
        "application/zip", type="primary", key="export.download", on_click="ignore",
        icon=":material/download:",
    )  # fmt: skip

# How to use it, what is in it, and what to know about it
if found:
    st.subheader("Use it", anchor=False)
    st.write("In a terminal:")
    st.code(take_home.SHELL.format(name=archive, folder=run.id), language="bash")
    st.write("In Python, inside the unpacked folder:")
    st.code(take_home.python_code(found.card), language="python")
st.subheader("What is in it", anchor=False)
st.table({"file": list(take_home.CONTENTS), "what it is": list(take_home.CONTENTS.values())})
if found:
    with st.expander("Model card", key="export.card"):
        st.markdown(take_home.card_text(found.card))
