# tools/bench device: 4 KiB random reads and writes of a file at depth 1, 32 and 128, on tmpfs and on a disk.
#
# Compared in CPU microseconds an operation and in IOPS, each figure a median of rounds in which the contenders take
# turns, the first of them another one each time:
#   polled   our synchronous core, without time stamps
#   twin     the same loop in C (tools/benchmarks/Sources/device-twin)
#   fio      fio without time stamps, the same batches: at most 16 submitted at once, reaped as soon as one is there
#   latency  our core with each latency recorded
#   fio-lat  fio with its latencies recorded
#   async    as many tasks as the depth, awaiting the queue on the reactor
# Sourced by tools/bench.

rounds=5 seconds=2 mebibytes=1024 tmpfs=/dev/shm disk=/tmp depths="1 32 128"
while (($#)); do
  [[ $1 == --help ]] || (($# > 1)) || { say "tools/bench device: an option without its value" && exit 2; }
  case $1 in
  --rounds) rounds=$2 ;;
  --seconds) seconds=$2 ;;
  --size) mebibytes=$2 ;;
  --tmpfs) tmpfs=$2 ;;
  --disk) disk=$2 ;;
  --depths) depths=$2 ;;
  --help) sed -n '1,12s/^# \{0,1\}//p' "$repository/tools/bench.d/device.sh" && exit 0 ;;
  *) say "tools/bench device: unknown option $1" && exit 2 ;;
  esac
  shift 2
done

milliseconds=$(awk -v s="$seconds" 'BEGIN { printf "%d", s * 1000 }')

build_benchmarks
command -v fio >/dev/null && has_fio=1 || { has_fio=0; say "tools/bench: no fio here; its columns stay empty"; }

results=$(mktemp -d)
trap 'rm -rf "$results" "$tmpfs/blkdev-bench.$$" "$disk/blkdev-bench.$$"' EXIT

# run_fio FILE read|write DEPTH BATCH [OPTION...]: IOPS and CPU microseconds an operation, from fio's own accounting.
run_fio() {
  local file=$1 direction=$2 depth=$3 batch=$4
  shift 4
  fio --name=bench --filename="$file" --rw="rand$direction" --bs=4k --size="${mebibytes}m" --ioengine=libaio \
    --direct=1 --iodepth="$depth" --iodepth_batch_submit="$batch" --iodepth_batch_complete_min=1 \
    --iodepth_batch_complete_max="$depth" --norandommap --time_based --runtime="${milliseconds}ms" --invalidate=0 \
    --output-format=json "$@" |
    awk -F'[:,]' '
      /"total_ios"/ { ios += $2 }
      /"job_runtime"/ { runtime = $2 }
      /"usr_cpu"/ { usr = $2 }
      /"sys_cpu"/ { sys = $2 }
      END { printf "%.0f %.4f\n", ios / runtime * 1000, (usr + sys) / 100 * runtime * 1000 / ios }'
}

# run_one CONTENDER FILE read|write DEPTH BATCH
run_one() {
  case $1 in
  polled | latency | async) "$programs/device-bench" "$2" "$3" "$4" "$5" "$seconds" "$1" ;;
  twin) "$programs/device-twin" "$2" "$3" "$4" "$5" "$seconds" ;;
  fio) run_fio "$2" "$3" "$4" "$5" --gtod_reduce=1 ;;
  fio-lat) run_fio "$2" "$3" "$4" "$5" ;;
  esac
}

contenders=(polled twin latency async)
((has_fio)) && contenders=(polled fio twin latency fio-lat async)

echo "4 KiB random, $mebibytes MiB, $rounds rounds of $seconds s, medians; batches of at most 16"
for place in tmpfs disk; do
  directory=${!place}
  file=$directory/blkdev-bench.$$
  # Written in full, so that neither holes nor unwritten extents are measured.
  head -c $((mebibytes << 20)) /dev/urandom >"$file"
  sync -d "$file"
  for direction in read write; do
    for depth in $depths; do
      batch=$((depth < 16 ? depth : 16))
      rm -f "$results"/*
      for ((round = 0; round < rounds; round++)); do
        for ((i = 0; i < ${#contenders[@]}; i++)); do
          contender=${contenders[$(((i + round) % ${#contenders[@]}))]}
          run_one "$contender" "$file" "$direction" "$depth" "$batch" >>"$results/$contender"
        done
      done
      echo
      echo "$place rand$direction depth $depth"
      for contender in "${contenders[@]}"; do
        printf '  %-8s %9.0f IOPS  %6.3f CPU us an operation' "$contender" "$(median "$results/$contender" 1)" \
          "$(median "$results/$contender" 2)"
        [[ $contender == latency ]] && printf '  p50 %.0f ns  p99 %.0f ns' "$(median "$results/latency" 3)" \
          "$(median "$results/latency" 4)"
        echo
      done
      cpu=$(median "$results/polled" 2)
      echo "  CPU to twin      $(verdict "$cpu" "$(median "$results/twin" 2)" 1.15 at-most) (at most 1.15)"
      if ((has_fio)); then
        echo "  CPU to fio       $(verdict "$cpu" "$(median "$results/fio" 2)" 1.05 at-most) (at most 1.05)"
        echo "  IOPS to fio      $(verdict "$(median "$results/polled" 1)" "$(median "$results/fio" 1)" 0.95 at-least)" \
          "(at least 0.95)"
        echo "  with latencies   CPU" \
          "$(verdict "$(median "$results/latency" 2)" "$(median "$results/fio-lat" 2)" 1.05 at-most), IOPS" \
          "$(verdict "$(median "$results/latency" 1)" "$(median "$results/fio-lat" 1)" 0.95 at-least)"
      fi
      awk -v a="$(median "$results/async" 2)" -v p="$cpu" \
        'BEGIN { printf "  async facade     %+.3f CPU us an operation\n", a - p }'
    done
  done
  rm -f "$file"
done
