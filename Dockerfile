# One image for all services of docker-compose.yml. Build: docker compose build
FROM python:3.13-slim
WORKDIR /src
COPY constraints.txt pyproject.toml README.md LICENSE ./
COPY stream_service stream_service
COPY iocsim iocsim
COPY ophyd_devices ophyd_devices
COPY plans plans
COPY xml_layouts xml_layouts
RUN pip install --no-cache-dir --constraint constraints.txt ".[sim]"
WORKDIR /data
