"""Tables and studies as a folder of pages, cards and data: a static site, also for a hub."""
