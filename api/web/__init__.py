"""The pages: static files served by the API process, without a build step and without another origin."""
