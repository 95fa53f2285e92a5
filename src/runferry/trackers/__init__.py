"""Know W&B and Comet: what they write on disk, how their servers are asked, what a job must tell them."""
