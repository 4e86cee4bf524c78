# tools/bench check: VolumeChecker beside e2fsck -fn, in turn.
#
#   small   a volume of 1 MiB with a few files and directories: ours from memory with a checker that is kept, as the
#           fault laboratory does it, beside e2fsck as a process on a file in tmpfs
#   large   a volume of 1 GiB with 100,000 files in 100 directories: ours from the file in tmpfs, beside e2fsck
#   sparse  a volume of 2^32 - 1 blocks of 4 KiB in a sparse file, with no files; peaks of memory too
#
#   tools/bench check [--rounds N] [--tmpfs DIRECTORY] [--only small|large|sparse]
# Sourced by tools/bench.

rounds=9 tmpfs=/dev/shm only=
while (($#)); do
  [[ $1 == --help ]] || (($# > 1)) || { say "tools/bench check: an option without its value" && exit 2; }
  case $1 in
  --rounds) rounds=$2 ;;
  --tmpfs) tmpfs=$2 ;;
  --only) only=$2 ;;
  --help) sed -n '1,9s/^# \{0,1\}//p' "$repository/tools/bench.d/check.sh" && exit 0 ;;
  *) say "tools/bench check: unknown option $1" && exit 2 ;;
  esac
  shift 2
done

build_benchmarks --product check-bench
bench=$programs/check-bench
scratch=$(mktemp -d "$tmpfs/blkdev-check.XXXXXX")
image=$scratch/image
trap 'rm -rf "$scratch"' EXIT

# report NAME MODE IMAGE ROUNDS
report() {
  "$bench" "$2" "$3" "$4" | awk -v name="$1" '
    { value[$1] = $2 }
    END {
      printf "%-8s ours %.1f us, e2fsck -fn %.1f us a check; ratio %.1f", name ":", value["ours_us"],
        value["e2fsck_us"], value["ratio"]
      printf " (least: %.1f us, %.1f us, %.1f)", value["ours_least_us"], value["e2fsck_least_us"], value["least_ratio"]
      if (name != "small") printf "; peaks %d MiB and %d MiB", value["ours_peak_mib"], value["e2fsck_peak_mib"]
      print ""
    }'
}

echo "medians of $rounds rounds"
if [[ ${only:-small} == small ]]; then
  mkdir -p "$scratch/tree/folder/inner"
  for name in one two three folder/four folder/inner/five; do head -c 5000 /dev/zero >"$scratch/tree/$name"; done
  truncate -s 1m "$image"
  mke2fs -q -F -t ext2 -b 1024 -d "$scratch/tree" "$image"
  report small memory "$image" "$rounds"
  rm "$image"
fi
if [[ ${only:-large} == large ]]; then
  truncate -s 1g "$image"
  mke2fs -q -F -t ext2 -b 4096 -N 131072 "$image"
  head -c 100 /dev/zero >"$scratch/file"
  for ((folder = 0; folder < 100; folder++)); do
    echo "mkdir d$folder"
    echo "cd d$folder"
    for ((file = 0; file < 1000; file++)); do echo "write $scratch/file file-$file"; done
    echo "cd /"
  done >"$scratch/commands"
  debugfs -w -f "$scratch/commands" "$image" >/dev/null 2>&1
  report large file "$image" 3
  rm "$image"
fi
if [[ ${only:-sparse} == sparse ]]; then
  truncate -s 17592186040320 "$image"
  mke2fs -q -F -t ext2 -b 4096 -N 2097152 -E nodiscard,lazy_itable_init=1 "$image"
  report sparse file "$image" 1
fi
