"""Arrays to pictures; never streamlit."""
