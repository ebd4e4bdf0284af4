"""Pages, one module per noun: access → form → service → render."""
