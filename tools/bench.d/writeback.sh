# tools/bench writeback: files of a mounted volume, written and synced, on a preallocated 1 GiB image of 4 KiB blocks.
#
#   sequential  256 MiB in pieces of 1 MiB, then fsync; beside fio writing 1 MiB blocks to the same region of the image
#               with O_DIRECT and end_fsync, at depth 4, and without O_DIRECT, through the kernel's page cache;
#               ours: cache 16 MiB, dirty limit 12 MiB, background 2 MiB, depth 8
#   scattered   16,384 random 4 KiB overwrites of a file of 64 MiB, then fsync; background threshold 96 MiB: device writes
#               beside the number of contiguous dirty runs, counted from offsets and extents
#   bounded     a file of ten times the cache (32 MiB): the process's high-water mark
#   price       what comparing the cookie costs a batch of one page, in ns, and with valgrind in instructions
#   policies    the truncate storm under each writeback policy, and with the cookie policy without truncators
# Sourced by tools/bench.

rounds=5 directory=/tmp
while (($#)); do
  [[ $1 == --help ]] || (($# > 1)) || { say "tools/bench writeback: an option without its value" && exit 2; }
  case $1 in
  --rounds) rounds=$2 ;;
  --directory) directory=$2 ;;
  --help) sed -n '1,10s/^# \{0,1\}//p' "$repository/tools/bench.d/writeback.sh" && exit 0 ;;
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

# Written in full once, so that unwritten extents are not what is measured.
head -c 1G /dev/zero >"$image"
fresh_image() {
  mke2fs -q -F -t ext2 -b 4096 -E nodiscard "$image"
  sync -d "$image"
}

# value NAME: the value of that name in the bench's output on stdin.
value() { awk -v name="$1" '$1 == name { print $2 }'; }
verdict() { awk -v a="$1" -v op="$2" -v b="$3" 'BEGIN { print ((op == "<=" ? a <= b : a >= b) ? "PASS" : "MISS") }'; }

# run_fio OPTION...: MiB/s of fio writing to the image, from its own accounting.
run_fio() {
  fio --name=bench --filename="$image" --size=256m --bs=1m --rw=write --end_fsync=1 --invalidate=0 --output-format=json \
    "$@" | awk -F'[:,]' '/"write" :/ { inside = 1 } inside && /"bw" :/ { print $2 / 1024; exit }'
}

echo "medians of $rounds rounds, 1 GiB image, 4 KiB blocks, $directory"
echo "sequential: cache 16 MiB, dirty limit 12 MiB, background threshold 2 MiB, depth 8; fio: depth 4"
for ((round = 1; round <= rounds; round++)); do
  fresh_image
  "$bench" sequential "$image" 256 >"$results/sequential"
  value mib_per_second <"$results/sequential" >>"$results/ours"
  value device_writes <"$results/sequential" >>"$results/writes"
  value cpu_us_per_block <"$results/sequential" >>"$results/cpu"
  if ((has_fio)); then
    run_fio --ioengine=libaio --iodepth=4 --direct=1 >>"$results/fio"
    # As ours it copies every byte and keeps it in pages until they are written.
    run_fio --ioengine=psync --direct=0 >>"$results/kernel"
  fi
done
ours=$(median "$results/ours") writes=$(median "$results/writes") cpu=$(median "$results/cpu")
echo "sequential: $ours MiB/s, $cpu us CPU a block, $writes device writes (at most 350: $(verdict "$writes" '<=' 350))"
if ((has_fio)); then
  theirs=$(median "$results/fio")
  ratio=$(awk -v a="$ours" -v b="$theirs" 'BEGIN { printf "%.2f", a / b }')
  echo "            fio $theirs MiB/s; ratio $ratio (at least 0.90: $(verdict "$ratio" '>=' 0.90))"
  kernel=$(median "$results/kernel")
  echo "            the kernel's page cache $kernel MiB/s; ratio $(awk -v a="$ours" -v b="$kernel" 'BEGIN { printf "%.2f", a / b }')"
fi

fresh_image
"$bench" scattered "$image" >"$results/scattered"
runs=$(value dirty_runs <"$results/scattered") writes=$(value device_writes <"$results/scattered")
ratio=$(awk -v a="$writes" -v b="$runs" 'BEGIN { printf "%.4f", a / b }')
echo "scattered:  cache 192 MiB, dirty limit 128 MiB, background threshold 96 MiB, depth 32"
echo "            $writes device writes for $runs dirty runs; ratio $ratio (at most 1.05: $(verdict "$ratio" '<=' 1.05))"

fresh_image
"$bench" bounded "$image" 32 >"$results/bounded"
peak=$(value peak_mib <"$results/bounded")
echo "bounded:    $peak MiB at most with a cache of 32 MiB (at most 96: $(verdict "$peak" '<=' 96))"

truncate -s 16m "$image.small"
mke2fs -q -F -t ext2 -b 4096 "$image.small"
for ((round = 1; round <= rounds; round++)); do
  for comparing in cookie none; do
    "$bench" price "$image.small" 20000 $comparing real | value ns_per_batch >>"$results/price-$comparing"
  done
done
echo "price:      $(median "$results/price-cookie") ns a batch with the comparison, $(median "$results/price-none") without"
if command -v valgrind >/dev/null; then
  # valgrind does not read every compiler's debugging information, and needs none.
  strip --strip-debug -o "$results/bench" "$bench"
  for comparing in cookie none; do
    # In simulation, and with hashes that are the same in every process, both runs take the same steps.
    SWIFT_DETERMINISTIC_HASHING=1 valgrind --tool=callgrind --callgrind-out-file=/dev/null \
      "$results/bench" price "$image.small" 4000 $comparing simulated 2>&1 |
      awk '/Collected/ { print $NF }' >"$results/instructions-$comparing"
  done
  awk -v a="$(<"$results/instructions-cookie")" -v b="$(<"$results/instructions-none")" \
    'BEGIN { printf "            %.1f instructions a batch for the comparison\n", (a - b) / 4000 }'
fi

run=$repository/tools/blkdev-run
storm=$repository/tools/jobs/truncate-storm.fio
awk '/^\[/ { skip = /truncators/ } !skip { sub(/truncate:[0-9]+,/, ""); print }' "$storm" >"$results/calm.fio"
declare -A arguments=(
  [cookie]="$storm --writeback=cookie" [per-page]="$storm --writeback=per-page"
  [admit-first]="$storm --writeback=admit-first" [no-truncate]="$results/calm.fio --writeback=cookie")
# figure NAME: the first number of that name in a JSON document on stdin.
figure() { awk -F'[:,]' -v name="\"$1\"" 'index($1, name) { gsub(/ /, "", $2); print $2; exit }'; }
# CPU seconds, user and system, of all children so far. A `times` in a subshell would tell of the subshell's.
children_seconds() { awk -F'[ms ]' 'NR == 2 { print $1 * 60 + $2 + $4 * 60 + $5 }' "$results/times"; }
contenders=(cookie per-page admit-first no-truncate)
for ((round = 1; round <= rounds; round++)); do
  for name in "${contenders[@]}"; do
    times >"$results/times"
    before=$(children_seconds)
    "$run" ${arguments[$name]} --randseed=$round --output-format=json >"$results/storm" 2>/dev/null || true
    times >"$results/times"
    after=$(children_seconds)
    {
      for key in elapsed_ns batches pages bytes lookups stale_batches stale_after_free replanned_pages; do
        figure $key <"$results/storm"
      done
      echo "$before $after"
    } | tr '\n' ' ' >>"$results/storm-$name"
    echo >>"$results/storm-$name"
  done
done
echo "policies:   medians of $rounds storms"
printf '            %-12s %10s %10s %10s %10s %10s %12s %12s\n' policy MiB/s batches 'KiB/batch' lookups stale after-free 'CPU us/page'
for name in "${contenders[@]}"; do
  awk '{ print $4 / 1048576 / ($1 / 1e9), $2, $4 / $2 / 1024, $5, $6, $7, ($10 - $9) * 1e6 / $3 }' \
    "$results/storm-$name" >"$results/rows"
  printf '            %-12s' "$name"
  for column in 1 2 3 4 5 6 7; do
    awk -v c=$column '{ print $c }' "$results/rows" | sort -g | awk -v c=$column '{ v[NR] = $1 }
      END { printf((c > 5 ? " %12.1f" : " %10.1f"), v[int((NR + 1) / 2)]) }'
  done
  echo
done
