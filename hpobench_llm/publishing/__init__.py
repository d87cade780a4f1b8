"""Tables and studies as a folder of pages, cards and data: a static site, and what a hub takes."""
