"""What retraining made and what serves: immutable runs with manifests, one champion, its history, one run at a time."""
