"""Reports: what a study found, as one page that a person can read and publish."""
