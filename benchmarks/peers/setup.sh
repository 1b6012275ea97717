#!/bin/sh
# Make the environment of the rival detectors: setup.sh [DIR], by default .venv beside this file.
# Two OpenCV wheels cannot share an environment, hence one of their own. PYTHON chooses the
# interpreter.
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
venv=${1:-$here/.venv}
"${PYTHON:-python3}" -m venv "$venv"
"$venv/bin/pip" install --quiet --upgrade --requirement "$here/requirements.txt"
"$venv/bin/python" -c 'import cv2, dlib; print("OpenCV", cv2.__version__, "dlib", dlib.__version__)'
