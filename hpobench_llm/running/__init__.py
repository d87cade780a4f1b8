"""The crew: workers that run tasks where they can do no harm, here or on a cluster."""
