"""Properties of twins have no time limit of their own: the first example may compile a kernel."""

from hypothesis import settings

settings.register_profile("twin", deadline=None)
settings.load_profile("twin")
