"""How anything is shown: numbers and names as text, tables, HTML, figures."""
