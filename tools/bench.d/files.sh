# tools/bench files: the same work on a volume of ours, in process, on the kernel's ext2 over a loop mount, and on fuse2fs
# where it is installed, on 1 GiB images of 4 KiB blocks on tmpfs. Needs root for the mounts.
#
#   (a) 2,048 writes of 128 KiB, then fsync      (b) cold sequential read of that file
#   (c) 16,384 random overwrites of 4 KiB in a file of 64 MiB, then fsync
#   (d) 100 directories, 10,000 files of 4 KiB, then sync      (e) unlink them, then sync
#   before each of these everybody writes and removes 64 MiB, so that caches have their memory.
#   robin     100 files written in turn, 1 MiB each in appends of 4 KiB: extents a file
#   names     a directory of a million files: cached lookups a second
#   mount     a sparse volume of 2^32-1 blocks beside one of 1 GiB
#
# Options: --rounds N (3), --names N (1000000), --directory DIRECTORY (/dev/shm)
# Sourced by tools/bench.

rounds=3 directory=/dev/shm names=1000000
while (($#)); do
  [[ $1 == --help ]] || (($# > 1)) || { say "tools/bench files: an option without its value" && exit 2; }
  case $1 in
  --rounds) rounds=$2 ;;
  --directory) directory=$2 ;;
  --names) names=$2 ;;
  --help) sed -n '1,13s/^# \{0,1\}//p' "$repository/tools/bench.d/files.sh" && exit 0 ;;
  *) say "tools/bench files: unknown option $1" && exit 2 ;;
  esac
  shift 2
done

build_benchmarks --product files-bench
bench=$programs/files-bench
image=$directory/blkdev-files.$$
folder=$image.mounted
results=$(mktemp -d)
mkdir "$folder"
unmount() {
  # Whoever looks at all mounts of the machine may hold this one for a moment.
  mountpoint -q "$folder" || return 0
  local try
  for ((try = 0; try < 50; try++)); do umount "$folder" 2>/dev/null && return 0 || sleep 0.1; done
}
trap 'unmount; rm -rf "$results" "$image" "$image".*; rmdir "$folder" 2>/dev/null' EXIT

contenders=(ours)
if ((EUID == 0)) && mke2fs -q -F -t ext2 "$image" 8m && mount -t ext2 -o loop "$image" "$folder" 2>/dev/null; then
  contenders+=(kernel)
  unmount
else
  say "tools/bench: the kernel's ext2 cannot be mounted here (it needs root); its column stays empty"
fi
if command -v fuse2fs >/dev/null && [[ -e /dev/fuse ]]; then contenders+=(fuse2fs); else
  say "tools/bench: no fuse2fs here; its column stays empty"
fi

# Written in full once, so that nobody is measured while the tmpfs finds pages.
head -c 1G /dev/zero >"$image"
fresh_image() { mke2fs -q -F -t ext2 -b 4096 -E nodiscard "$@" "$image"; }
attach() {
  case $1 in
  kernel) mount -t ext2 -o loop "$image" "$folder" ;;
  fuse2fs) fuse2fs "$image" "$folder" -o fakeroot 2>/dev/null ;;
  esac
}
# run WHO WORK [N]: the bench's output, on the image as it is; cold.
run() {
  local who=$1
  shift
  if [[ $who == ours ]]; then "$bench" ours "$image" "$@"; else
    attach "$who"
    "$bench" folder "$folder" "$@"
    if [[ $1 == robin ]]; then filefrag "$folder"/robin* 2>/dev/null | awk '{ s += $2 } END { if (NR) print "extents", s / NR }'; fi
    unmount
  fi
}
median() { [[ -s $1 ]] && sort -n "$1" | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }' || echo -; }
ratio() { awk -v a="$1" -v b="$2" 'BEGIN { if (b + 0 > 0) printf "%.2f", a / b; else printf "-" }'; }

works=(write read overwrite create unlink)
for ((round = 1; round <= rounds; round++)); do
  for who in "${contenders[@]}"; do
    fresh_image
    for work in write read overwrite create; do
      run "$who" "$work" >"$results/out"
      while read -r key value; do
        case $key in
        device_writes | device_reads | peak_kib) ;;
        *) last=$key ;;
        esac
        echo "$value" >>"$results/$who.$([[ $key == device_writes ]] && echo "$last.writes" || echo "$key")"
      done <"$results/out"
    done
  done
done
echo "medians of $rounds rounds, seconds, 1 GiB image on $directory"
printf '%-12s' work "${contenders[@]}" ours/kernel "device writes"
echo
letters=(a b c d e)
for index in "${!works[@]}"; do
  work=${works[index]}
  printf '%-12s' "(${letters[index]}) $work"
  for who in "${contenders[@]}"; do printf '%-12.4s' "$(median "$results/$who.$work")"; done
  printf '%-12s' "$(ratio "$(median "$results/ours.$work")" "$(median "$results/kernel.$work")")"
  median "$results/ours.$work.writes"
done
echo "(c) has $(median "$results/ours.runs") contiguous runs; wanted: at most half the kernel's time; writes at most runs x 1.05 (c), 400 (d), 150 (e)"

for who in "${contenders[@]}"; do
  [[ $who == fuse2fs ]] && continue
  fresh_image
  echo "robin: $who $(run "$who" robin | awk '$1 == "extents" { print $2 }') extents a file"
done

for who in "${contenders[@]}"; do
  [[ $who == fuse2fs ]] && continue
  fresh_image -N $((names + 1000))
  run "$who" names "$names" >"$results/out"
  awk -v who="$who" '$1 == "lookup" { printf "names: %s %.0f lookups a second", who, 100000 / $2 } $1 == "make" { m = $2 } END { printf "; made in %.1f s\n", m }' "$results/out"
done

maker=$repository/tools/blkdev-run
"$maker" mkfs -q --size 1g -N 100000 "$image.small"
"$maker" mkfs -q --size 17592186040320 -b 4096 -N 1000000 "$image.large"
"$maker" mkfs -q --size 4398046510080 -b 1024 -N 1000000 "$image.largest"
for kind in small large largest; do
  for ((round = 1; round <= rounds; round++)); do
    "$bench" ours "$image.$kind" mount >"$results/out"
    awk '$1 == "mount" { print $2 }' "$results/out" >>"$results/mount.$kind"
    awk '$1 == "peak_kib" { print $2 }' "$results/out" >>"$results/mount.$kind.peak"
  done
done
echo "mount: 1 GiB $(median "$results/mount.small") s, $(median "$results/mount.small.peak") KiB at most; 2^32-1 blocks of 4 KiB" \
  "$(median "$results/mount.large") s, $(median "$results/mount.large.peak") KiB; of 1 KiB $(median "$results/mount.largest") s," \
  "$(median "$results/mount.largest.peak") KiB (wanted: under 65536)"
