"""A page as a list of blocks, and the same page as HTML, Markdown and LaTeX."""
