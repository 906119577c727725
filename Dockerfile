# The command line in an image: every version from constraints.txt, no superuser, data by mount. See docs/install.md.
FROM python:3.12-slim AS build
ARG EXTRAS="h5ad,images,umap"
WORKDIR /build
COPY constraints.txt ./
COPY pyproject.toml README.md LICENSE ./
COPY baselines ./baselines
COPY datasets ./datasets
COPY polaris_rxrx ./polaris_rxrx
RUN python -m venv /opt/polaris-rxrx && \
    /opt/polaris-rxrx/bin/pip install --no-cache-dir --constraint constraints.txt ".[${EXTRAS}]"

FROM python:3.12-slim
# RDKit draws molecules by these; they are no part of its wheel, nor of the base image.
# hadolint ignore=DL3008
RUN apt-get update && \
    apt-get install --yes --no-install-recommends libexpat1 libxext6 libxrender1 && \
    rm -rf /var/lib/apt/lists/*
# Any user may run it (`--user`), so what is written outside of the mount goes where any user may write.
RUN useradd --create-home --uid 1000 rxrx && \
    install --directory --mode 1777 /data /folder
COPY --from=build /opt/polaris-rxrx /opt/polaris-rxrx
ENV PATH="/opt/polaris-rxrx/bin:${PATH}" \
    HOME=/tmp \
    POLARIS_RXRX_DATA=/data \
    POLARIS_RXRX_STATE=/folder/.polaris-rxrx \
    PYTHONDONTWRITEBYTECODE=1
USER 1000:1000
WORKDIR /folder
ENTRYPOINT ["polaris-rxrx"]
CMD ["--help"]
