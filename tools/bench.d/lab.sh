# tools/bench lab: how much the fault laboratory judges a second, on one core, beside e2fsck as a process.
#
#   states    power cuts of sequences of three operations: distinct states a second, and how many e2fsck -fn judges
#   schedules of the races, with one deviation; seeds of the whole volume
#   steps     what the simulated scheduler does a second
#   layers    what layers with nothing to do cost a request
#
# Options: --rounds N (3)
# Sourced by tools/bench.

rounds=3
while (($#)); do
  [[ $1 == --help ]] || (($# > 1)) || { say "tools/bench lab: an option without its value" && exit 2; }
  case $1 in
  --rounds) rounds=$2 ;;
  --help) sed -n '1,10s/^# \{0,1\}//p' "$repository/tools/bench.d/lab.sh" && exit 0 ;;
  *) say "tools/bench lab: unknown option $1" && exit 2 ;;
  esac
  shift 2
done

run=$repository/tools/blkdev-run
"$run" --version >/dev/null
build_benchmarks --product check-bench
build_benchmarks --product lab-bench
image=$(mktemp -p /dev/shm)
results=$(mktemp -d)
trap 'rm -rf "$image" "$results"' EXIT
rm -f "$image"
"$run" mkfs -q --size 1m -b 1024 -N 64 "$image"
"$run" fs "$image" - <<<$'mkdir /A /B\nfill -l 3500 -s 1 /A/foo\nfill -l 16000 -s 2 /B/foo'

number() { sed -n "s/^  \"$1\" : \([0-9]*\),*$/\1/p"; }
for ((round = 1; round <= rounds; round++)); do
  "$run" crash --workload=seq3 --cases 3000 --seed "$round" --output-format=json | number states_per_second >>"$results/states"
  "$programs/check-bench" memory "$image" 5 | awk '$1 == "e2fsck_us" { print 1e6 / $2 }' >>"$results/e2fsck"
  "$run" explore --bound 1 --output-format=json | number schedules_per_second >>"$results/schedules"
  "$run" explore --seeds 2000 --seed $((round * 2000)) --output-format=json | number schedules_per_second >>"$results/seeds"
done
echo "medians of $rounds rounds, a second on one core"
awk -v ours="$(median "$results/states")" -v theirs="$(median "$results/e2fsck")" 'BEGIN {
  printf "states: ours %d, e2fsck -fn %d; ratio %.0f (wanted: at least 130)\n", ours, theirs, ours / theirs }'
echo "schedules: $(median "$results/schedules"); seeds of the whole volume: $(median "$results/seeds")"
"$programs/lab-bench" scheduler "$rounds" | awk '{ printf "steps of the scheduler: %d (wanted: at least 1000000)\n", $2 }'
"$programs/lab-bench" layers "$rounds" | awk '$1 == "layers_ns" { printf "idle layers: %.0f ns a request (wanted: below 100)\n", $2 }'
