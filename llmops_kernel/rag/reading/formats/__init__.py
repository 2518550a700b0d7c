"""One module a format: bytes in, text with what the format knows about it out.

LlamaIndex's file readers are used where they keep what retrieval needs. Most do not: its PDFReader
tries a damaged file three times and hides why it failed, its DocxReader drops headings and tables,
its HTMLTagReader reads only ``<section>`` and only UTF-8, its CSVReader drops the columns' names,
its MarkdownReader rewrites the text, its IPYNBReader drops Markdown. Below them the same libraries
are used directly: pypdf, Beautiful Soup, defusedxml, csv. RTF is read through LlamaIndex.
"""
