"""Find in a user's repository what a first config needs: the script, its parameters, its packages, its job script."""
