"""Plan what a workflow would do and cost, before anything is submitted and at any time later."""
