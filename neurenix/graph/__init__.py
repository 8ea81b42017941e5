"""What flows between the stages: the Graph that frontends make, and the Plan that runtimes execute."""
