"""Results become tables, figures and a page that people can check."""
