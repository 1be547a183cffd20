"""What a deployment is made of; the generated parts come from the worker's own tables (`make deploy`)."""
