"""Trained models over HTTP: `drit serve`, and the page of `drit studio` on top of it. Needs the extra `serve`.

settings.py: the flags. limits.py: what is refused before it is read. uploads.py: uploads to images. contents.py: the
cache of encoded images. batching.py: the one thread that computes. large.py: images in strips. animation.py: moving
images. stylemap.py: the map of styles. served.py: the runs. api.py: the routes. server.py: socket, signals, processes.
studio/: the page.
"""
