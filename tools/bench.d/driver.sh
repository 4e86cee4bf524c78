# tools/bench driver: blkdev-run beside fio, with the same options.
#
# Each figure is a median of rounds in which both take turns; latencies are recorded on both sides, random maps on neither.
#   null       CPU microseconds an operation without a device, at depth 1 and 32, and what they go into where there is perf
#   libaio     4 KiB random reads and writes of a file, at depth 1, 32 and 128: IOPS and CPU; --batch N (1, as with fio) is
#              how many go to the kernel at once
#   memory     the most memory of 16 jobs
#   reactors   the sum of 1, 2 and 4 raw jobs without a device, each on a reactor of its own
#   rate       how far a job with rate_iops=2000 is from it
# Sourced by tools/bench.

rounds=5 seconds=2 mebibytes=512 directory=/tmp depths="1 32 128" operations=1000000 batch=1
while (($#)); do
  [[ $1 == --help ]] || (($# > 1)) || { say "tools/bench driver: an option without its value" && exit 2; }
  case $1 in
  --rounds) rounds=$2 ;;
  --seconds) seconds=$2 ;;
  --size) mebibytes=$2 ;;
  --directory) directory=$2 ;;
  --depths) depths=$2 ;;
  --batch) batch=$2 ;;
  --operations) operations=$2 ;;
  --help) sed -n '1,9s/^# \{0,1\}//p' "$repository/tools/bench.d/driver.sh" && exit 0 ;;
  *) say "tools/bench driver: unknown option $1" && exit 2 ;;
  esac
  shift 2
done

"$repository/tools/blkdev-run" --version >/dev/null
program=$repository/.build/release/blkdev-run
contenders=(ours)
if command -v fio >/dev/null; then contenders+=(fio); else say "tools/bench: no fio here; its columns stay empty"; fi
results=$(mktemp -d)
file=$directory/blkdev-bench.$$
trap 'rm -rf "$results" "$file"' EXIT

# figures DOCUMENT: IOPS, CPU microseconds an operation and mebibytes of memory at most, of all jobs of a JSON report.
# Ours says what the processor spent to the nanosecond, fio in percent of the run time.
figures() {
  python3 - "$1" <<'END'
import json, sys
report = json.load(open(sys.argv[1]))
jobs = report["jobs"]
count = sum(job[kind]["total_ios"] for job in jobs for kind in ("read", "write", "trim"))
iops = sum(job[kind]["iops"] for job in jobs for kind in ("read", "write", "trim"))
ours = report.get("blkdev")
if ours:
    nanoseconds = ours["cpu"]["user_ns"] + ours["cpu"]["system_ns"]
    memory = ours["memory"]["peak_bytes"] / 2**20
else:
    nanoseconds = sum((job["usr_cpu"] + job["sys_cpu"]) / 100 * job["job_runtime"] * 1e6 for job in jobs)
    memory = 0
print(f"{iops:.0f} {nanoseconds / 1000 / max(1, count):.4f} {memory:.1f}")
END
}

# run_one CONTENDER OPTION...: the figures of one run.
run_one() {
  local contender=$1
  shift
  local program=$program
  [[ $contender == fio ]] && program=fio
  "$program" "$@" --output-format=json --output="$results/document" >/dev/null 2>"$results/errors" || {
    cat "$results/errors" >&2
    exit 1
  }
  figures "$results/document"
}

# compare TITLE OPTION...: runs the contenders in turns and prints their medians, which stay in the results.
compare() {
  local title=$1 round i contender
  shift
  rm -f "$results"/ours "$results"/fio
  for ((round = 0; round < rounds; round++)); do
    for ((i = 0; i < ${#contenders[@]}; i++)); do
      contender=${contenders[$(((i + round) % ${#contenders[@]}))]}
      run_one "$contender" "$@" >>"$results/$contender"
    done
  done
  echo
  echo "$title"
  for contender in "${contenders[@]}"; do
    printf '  %-6s %9.0f IOPS  %7.3f CPU us an operation\n' "$contender" "$(median "$results/$contender" 1)" \
      "$(median "$results/$contender" 2)"
  done
}
# ratio COLUMN LIMIT SENSE: ours to fio's; nothing without fio.
ratio() { [[ -e $results/fio ]] && verdict "$(median "$results/ours" "$1")" "$(median "$results/fio" "$1")" "$2" "$3"; }

echo "$rounds rounds, medians; $("$program" --version) and $(fio --version 2>/dev/null || echo 'no fio')"

# parts OPTION...: what the processor's time of a run goes into, from samples of perf; nothing where there are none.
parts() {
  command -v perf >/dev/null || return 0
  perf record -q -e cpu-clock -F 3999 -o "$results/samples" -- "$program" "$@" >/dev/null 2>&1 || return 0
  perf report -i "$results/samples" --stdio --sort symbol 2>/dev/null | awk '
    /^ *[0-9.]+%/ {
      share = $1 + 0
      part = "the rest"
      if (/\$s7Reactor/) part = "reactor"
      if (/\$s8Workload/) part = "workload"
      if (/Histogram|Latencies/) part = "histograms"
      if (/\$s11BlockDevice/) part = "queue and device"
      if (/AccessSet|swift_(begin|end)Access|SwiftTLSContext|tls_get_addr/) part = "access checks"
      if (/swift_(retain|release|unowned|isUnique)|RefCount|Retainable/) part = "references"
      if (/clock_gettime|monotonic/) part = "clock"
      sum[part] += share
    }
    END { for (part in sum) printf "%.0f%% %s\n", sum[part], part }' | sort -rn | paste -sd ',' | sed 's/,/, /g; s/^/  of ours: /'
}

null=(--name=null --ioengine=null --rw=randread --bs=4k --size=1g --norandommap --io_size=1t)
for depth in 1 32; do
  compare "null device, depth $depth" "${null[@]}" --iodepth=$depth --number_ios="$operations"
  echo "  CPU to fio: $(ratio 2 1.5 at-most) (at most 1.5)"
  parts "${null[@]}" --iodepth=$depth --number_ios=$((4 * operations))
done

head -c $((mebibytes << 20)) /dev/urandom >"$file"
sync -d "$file"
for direction in read write; do
  for depth in $depths; do
    compare "libaio, rand$direction, depth $depth" --name=raw --filename="$file" --ioengine=libaio --direct=1 \
      --rw="rand$direction" --bs=4k --size="${mebibytes}m" --norandommap --iodepth="$depth" --invalidate=0 \
      --iodepth_batch=$((depth < batch ? depth : batch)) --time_based --runtime="${seconds}s"
    echo "  IOPS to fio: $(ratio 1 0.95 at-least) (at least 0.95), CPU: $(ratio 2 1.05 at-most) (at most 1.05)"
  done
done
rm -f "$file"

echo
echo "16 jobs of depth 32: $(run_one ours "${null[@]}" --iodepth=32 --numjobs=16 --number_ios=50000 |
  awk '{ printf "%s MiB of memory at most %s", $3, $3 < 64 ? "PASS" : "MISS" }') (below 64)"

echo
echo "raw jobs on a reactor each, without a device:"
for jobs in 1 2 4; do
  for ((round = 0; round < rounds; round++)); do
    run_one ours "${null[@]}" --iodepth=32 --numjobs=$jobs --number_ios="$operations"
  done >"$results/ours"
  printf '  %d: %9.0f IOPS\n' "$jobs" "$(median "$results/ours" 1)"
done

echo
run_one ours --name=rate --ioengine=null --rw=randread --size=1g --rate_iops=2000 --time_based --runtime="${seconds}s" |
  awk '{ printf "rate_iops=2000: %.0f IOPS, %+.2f%%\n", $1, ($1 - 2000) / 20 }'
