"""The scheduled job: snapshot, dataset, training, gate, promotion; and where its registry lies."""
