"""What the screens are made of: the only room of the lab that knows streamlit and plotly."""
