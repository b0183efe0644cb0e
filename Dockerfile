# drit serve in a container. Build:  docker build -t drit .
# Run:  docker run -p 8000:8000 -v "$PWD/runs/seasons:/run-folder:ro" drit
# The service listens on all addresses of the container. With a key (see docs/serving.md), which every request carries:
#   docker run -p 8000:8000 -v "$PWD/runs/seasons:/run-folder:ro" -v "$PWD/key.txt:/key.txt:ro" drit /run-folder --key-file /key.txt
# PyPI's torch brings its GPU libraries: the image has 6 GB. With an index of torch for CPUs it is far smaller:
#   docker build -t drit --build-arg PIP_EXTRA_INDEX_URL=ADDRESS .
FROM python:3.12-slim

ARG PIP_EXTRA_INDEX_URL
WORKDIR /drit
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY drit drit
RUN pip install --no-cache-dir -c constraints.txt ".[serve]"

RUN useradd --create-home drit
USER drit
WORKDIR /home/drit
EXPOSE 8000
HEALTHCHECK --start-period=60s CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health', timeout=5)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["drit", "serve", "--host", "0.0.0.0", "--port", "8000"]
CMD ["/run-folder"]
