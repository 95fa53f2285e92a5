"""What a workflow would do and what it would cost, before anything is submitted and at any time later."""
