#!/bin/sh
# Makes what `coordinator simulate` reads of hospitals whose tables are yours to read: a study file with
# throw-away keys, and each hospital's examples under it.
#
#   docs/studies/examples.sh STUDY DATA OUT [OTHER]
#
# STUDY: a template, as docs/studies/heart-disease.toml. DATA: one folder with a table.csv for each hospital.
# OUT: a new folder; it gets study.toml and examples/. OTHER: hospitals of the same names with other people, as
# of another seed of `site-agent synth`; their examples go to OUT/other, for `simulate --compare --tune-on`.
# BIN says where the programs are (target/release unless set).
set -eu
study=$1 data=$2 out=$3 other=${4:-}
bin=${BIN:-target/release}
mkdir "$out" "$out/examples" "$out/sites"
home=$out/coordinator
"$bin/coordinator" init --home "$home" --listen 127.0.0.1:0 --host 127.0.0.1 >&2
"$bin/coordinator" serve --home "$home" >"$out/coordinator.log" 2>&1 &
serving=$!
trap 'kill $serving' EXIT
tries=0
until "$bin/coordinator" site list --home "$home" >/dev/null 2>&1; do
    tries=$((tries + 1))
    [ $tries -lt 50 ] || { cat "$out/coordinator.log" >&2; exit 4; }
    sleep 0.2
done

set --
for table in "$data"/*/table.csv; do
    site=$(basename "$(dirname "$table")")
    "$bin/site-agent" init --home "$out/sites/$site" --site "$site" >&2
    "$bin/coordinator" site invite "$site" --home "$home" --out "$out/$site.invite" >&2
    "$bin/site-agent" enroll "$out/$site.invite" --home "$out/sites/$site" >&2
    rm "$out/$site.invite"
    # The number of rows is public here: the tables are the user's own.
    set -- "$@" --people "$site=$(($(wc -l <"$table") - 1))"
done
"$bin/coordinator" study new --home "$home" --from "$study" --out "$out/study.toml" "$@" >&2

export_to() { # folder of hospitals, folder of examples
    for table in "$1"/*/table.csv; do
        site=$(basename "$(dirname "$table")")
        "$bin/site-agent" data export --examples --study "$out/study.toml" --data "$table" \
            --home "$out/sites/$site" --out "$2/$site.examples" >&2
    done
}
export_to "$data" "$out/examples"
if [ -n "$other" ]; then
    mkdir "$out/other"
    export_to "$other" "$out/other"
fi
