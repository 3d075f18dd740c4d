"""Tables and figures: from score files and populations to csv, Markdown, SVG and PNG."""
