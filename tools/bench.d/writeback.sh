# tools/bench writeback: files of a mounted volume, written and synced, on a preallocated 1 GiB image of 4 KiB blocks.
#
#   sequential  256 MiB in pieces of 1 MiB, then fsync; beside fio writing 1 MiB blocks to the same region of the image
#               with O_DIRECT and end_fsync, at depth 4; cache 64 MiB, dirty limit 48 MiB, background 8 MiB, depth 32
#   scattered   16,384 random 4 KiB overwrites of a file of 64 MiB, then fsync; background threshold 96 MiB: device writes
#               beside the number of contiguous dirty runs, counted from offsets and extents
#   bounded     a file of ten times the cache (32 MiB): the process's high-water mark
#   price       what comparing the cookie costs a batch of one page, in ns, and with valgrind in instructions
#   policies    the truncate storm under each writeback policy, and without truncators
# Sourced by tools/bench.

rounds=5 directory=/tmp
while (($#)); do
  [[ $1 == --help ]] || (($# > 1)) || { say "tools/bench writeback: an option without its value" && exit 2; }
  case $1 in
  --rounds) rounds=$2 ;;
  --directory) directory=$2 ;;
  --help) sed -n '1,12s/^# \{0,1\}//p' "$repository/tools/bench.d/writeback.sh" && exit 0 ;;
  *) say "tools/bench writeback: unknown option $1" && exit 2 ;;
  esac
  shift 2
done

build_benchmarks --product writeback-bench
bench=$programs/writeback-bench
command -v fio >/dev/null && has_fio=1 || { has_fio=0; say "tools/bench: no fio here; its column stays empty"; }

image=$directory/blkdev-bench.$$
results=$(mktemp -d)
trap 'rm -rf "$results" "$image" "$image".small' EXIT

fresh_image() {
  rm -f "$image"
  fallocate -l 1g "$image"
  mke2fs -q -F -t ext2 -b 4096 -E nodiscard "$image"
}

# value NAME: the value of that name in the bench's output on stdin.
value() { awk -v name="$1" '$1 == name { print $2 }'; }
median() { sort -n "$1" | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }
verdict() { awk -v a="$1" -v op="$2" -v b="$3" 'BEGIN { print ((op == "<=" ? a <= b : a >= b) ? "PASS" : "MISS") }'; }

for ((round = 1; round <= rounds; round++)); do
  fresh_image
  "$bench" sequential "$image" 256 >"$results/sequential"
  value mib_per_second <"$results/sequential" >>"$results/ours"
  value device_writes <"$results/sequential" >>"$results/writes"
  value cpu_us_per_block <"$results/sequential" >>"$results/cpu"
  if ((has_fio)); then
    fio --name=bench --filename="$image" --size=256m --bs=1m --rw=write --ioengine=libaio --iodepth=4 --direct=1 \
      --end_fsync=1 --invalidate=0 --output-format=json |
      awk -F'[:,]' '/"write" :/ { inside = 1 } inside && /"bw" :/ { print $2 / 1024; exit }' >>"$results/fio"
  fi
done
ours=$(median "$results/ours") writes=$(median "$results/writes") cpu=$(median "$results/cpu")
echo "sequential: $ours MiB/s, $cpu us CPU a block, $writes device writes (at most 350: $(verdict "$writes" '<=' 350))"
if ((has_fio)); then
  theirs=$(median "$results/fio")
  ratio=$(awk -v a="$ours" -v b="$theirs" 'BEGIN { printf "%.2f", a / b }')
  echo "            fio $theirs MiB/s; ratio $ratio (at least 0.90: $(verdict "$ratio" '>=' 0.90))"
fi

fresh_image
"$bench" scattered "$image" >"$results/scattered"
runs=$(value dirty_runs <"$results/scattered") writes=$(value device_writes <"$results/scattered")
ratio=$(awk -v a="$writes" -v b="$runs" 'BEGIN { printf "%.4f", a / b }')
echo "scattered:  $writes device writes for $runs dirty runs; ratio $ratio (at most 1.05: $(verdict "$ratio" '<=' 1.05))"

fresh_image
"$bench" bounded "$image" 32 >"$results/bounded"
peak=$(value peak_mib <"$results/bounded")
echo "bounded:    $peak MiB at most with a cache of 32 MiB (at most 96: $(verdict "$peak" '<=' 96))"

truncate -s 16m "$image.small"
mke2fs -q -F -t ext2 -b 4096 "$image.small"
for ((round = 1; round <= rounds; round++)); do
  for comparing in cookie none; do
    "$bench" price "$image.small" 20000 $comparing | value ns_per_batch >>"$results/price-$comparing"
  done
done
echo "price:      $(median "$results/price-cookie") ns a batch with the comparison, $(median "$results/price-none") without"
if command -v valgrind >/dev/null; then
  for comparing in cookie none; do
    valgrind --tool=callgrind --callgrind-out-file=/dev/null "$bench" price "$image.small" 2000 $comparing 2>&1 |
      awk '/Collected/ { print $NF }' >"$results/instructions-$comparing"
  done
  awk -v a="$(<"$results/instructions-cookie")" -v b="$(<"$results/instructions-none")" \
    'BEGIN { printf "            %.1f instructions a batch for the comparison\n", (a - b) / 2000 }'
fi

run=$repository/tools/blkdev-run
storm=$repository/tools/jobs/truncate-storm.fio
figures() { sed -n 's/^ *\(batches=.*\|stale .*\|WRITE: .*\)/            \1/p'; }
for policy in cookie per-page admit-first; do
  echo "policies:   $policy"
  "$run" "$storm" --writeback=$policy --randseed=1 2>/dev/null | figures
done
