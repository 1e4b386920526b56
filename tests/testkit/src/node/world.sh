#!/bin/sh
# Process 1 of the namespaces of one test: prepares them, and runs the test ("$@"). With it everything in them ends.
set -eu
hostname cluster
"$@"
