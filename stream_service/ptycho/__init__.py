"""From a standard file to an image: recipe, first probe, supervised PtyPy, `image_1`.

PtyPy is the user's own install (academic licence): nothing here needs it to be imported. What runs PtyPy runs it in a
subprocess, from a script that stands on its own (`recipe`).
"""
