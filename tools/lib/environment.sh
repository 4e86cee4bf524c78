# What the scripts in tools/ share: find the toolchain, install what is missing, fetch the dependencies, once.
# Sourced by its absolute path. Everything here writes to stderr, so that a script's stdout belongs to what it starts.
# Exit code 5 means that this machine lacks something we may not or cannot install; the last line says what to type.

repository=${BASH_SOURCE[0]%/*/*/*}
environment_exit_code=5

# Debian keeps mke2fs and e2fsck where only root's PATH looks; installers of Swift often leave PATH to the login shell.
PATH="$PATH:/usr/sbin:/sbin:${SWIFTLY_BIN_DIR:-${HOME:-/root}/.local/share/swiftly/bin}:/usr/share/swift/usr/bin"
export PATH

say() { printf '%s\n' "$*" >&2; }

# give_up REASON LINE: the reason, then the exact line that cures it, alone on the last line.
give_up() {
  say "${0##*/}: $1"
  say "Type this, then try again:"
  say "    $2"
  exit "$environment_exit_code"
}

# Sets `missing` to the Debian packages that this machine lacks. Only shell built-ins: it runs before every start.
find_missing_packages() {
  missing=()
  [[ -e /usr/include/libaio.h ]] || missing+=(libaio-dev)
  [[ -e /usr/include/blkid/blkid.h ]] || missing+=(libblkid-dev)
  { command -v mke2fs && command -v e2fsck; } >/dev/null || missing+=(e2fsprogs)
  command -v git >/dev/null || missing+=(git)
  [[ -z ${needs_judges-} ]] || find_missing_judges
}

# Adds what only tests need, as judges of attributes and ACLs, of logs of writes and of reports; tools/test sets `needs_judges`.
find_missing_judges() {
  { command -v setfattr && command -v getfattr; } >/dev/null || missing+=(attr)
  { command -v setfacl && command -v getfacl; } >/dev/null || missing+=(acl)
  command -v qemu-io >/dev/null || missing+=(qemu-utils)
  command -v fio >/dev/null || missing+=(fio)
  # A browser is large, and one test wants it: it is installed only where a skipped test is a failure.
  [[ ${CI-} != true ]] ||
    { command -v chromium || command -v chromium-browser || command -v google-chrome; } >/dev/null || missing+=(chromium)
}

# Installs what find_missing_packages names, as root or through sudo; does nothing, and asks nothing, if all is there.
install_missing_packages() {
  find_missing_packages
  ((${#missing[@]})) || return 0
  local sudo=() prefix=''
  ((EUID == 0)) || prefix='sudo '
  local line="${prefix}apt-get update && ${prefix}apt-get install -y ${missing[*]}"
  command -v apt-get >/dev/null || give_up "needs ${missing[*]}, and there is no apt-get here" \
    "install ${missing[*]} (these are the names of Debian and Ubuntu) with this system's package manager"
  if ((EUID != 0)); then
    command -v sudo >/dev/null || give_up "needs ${missing[*]}, and there is no sudo to install it with" \
      "su - -c 'apt-get update && apt-get install -y ${missing[*]}'"
    # Without a terminal nobody can type a password, and sudo must not wait for one.
    sudo=(sudo)
    [[ -t 0 ]] || sudo+=(-n)
  fi
  say "${0##*/}: installing ${missing[*]}"
  local apt=("${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q)
  # A fresh machine or container has no package lists yet, so an update comes second, where the first try fails.
  "${apt[@]}" install -y --no-install-recommends "${missing[@]}" </dev/null >&2 ||
    { "${apt[@]}" update </dev/null >&2 &&
      "${apt[@]}" install -y --no-install-recommends "${missing[@]}" </dev/null >&2; } ||
    give_up "could not install ${missing[*]}" "$line"
  hash -r
  find_missing_packages
  ((${#missing[@]} == 0)) || give_up "installed, but still not found: ${missing[*]}" "$line"
}

# A Swift 6.2 toolchain or newer is the one thing that is not ours to install.
require_toolchain() {
  local install='curl -O https://download.swift.org/swiftly/linux/swiftly-$(uname -m).tar.gz'
  install+=' && tar zxf swiftly-$(uname -m).tar.gz && ./swiftly init --assume-yes'
  install+=' && . ~/.local/share/swiftly/env.sh'
  command -v swift >/dev/null || give_up "there is no Swift toolchain on PATH (6.2 or newer is needed)" "$install"
  local text version
  text=$(swift --version 2>/dev/null) || give_up "swift is on PATH, but 'swift --version' fails" "$install"
  [[ $text =~ Swift\ version\ ([0-9]+)\.([0-9]+) ]] || give_up "cannot tell the version of: $text" "$install"
  version="${BASH_REMATCH[1]}.${BASH_REMATCH[2]}"
  if ((BASH_REMATCH[1] < 6 || (BASH_REMATCH[1] == 6 && BASH_REMATCH[2] < 2))); then
    command -v swiftly >/dev/null && install='swiftly install --use latest'
    give_up "the toolchain is Swift $version; 6.2 or newer is needed" "$install"
  fi
}

# Builds go to .build* in this checkout, where root may have built before, or which may be on a read-only disk.
require_writable_checkout() {
  local locked=$repository here builds
  printf -v here '%q' "$repository"
  builds=$here
  if [[ -w $locked ]]; then
    builds="$here/.build*"
    locked=$(find "$repository"/.build* -type d ! -writable -print -quit 2>/dev/null) || true
  fi
  [[ -n $locked ]] || return 0
  if [[ -O $locked && $(stat -c %A "$locked") != d?w* ]]; then
    give_up "$locked, where it builds, is write-protected" "chmod -R u+w $builds"
  elif [[ ! -O $locked && $locked != "$repository" ]]; then
    give_up "$locked, where it builds, belongs to somebody else" "sudo chown -R $(id -un) $builds"
  fi
  give_up "cannot write to $locked, where it builds" "cp -a $here ~/blkdev && cd ~/blkdev"
}

# Fetches the packages we depend on. After the first time this neither starts SwiftPM nor asks the network.
fetch_dependencies() {
  local resolved="$repository/.build/dependencies-fetched"
  [[ $resolved -nt $repository/Package.swift && -d $repository/.build/checkouts &&
    -e $repository/Package.resolved ]] && return 0
  say "${0##*/}: fetching dependencies"
  swift package --package-path "$repository" resolve >&2 || give_up \
    "could not fetch the packages this one depends on (is there a network?)" \
    "swift package --package-path $(printf '%q' "$repository") resolve"
  touch "$resolved"
}

# Gives another scratch folder the fetched dependencies of .build, so that SwiftPM need not fetch them again for it.
share_dependencies() {
  local scratch=$1
  [[ -e $scratch/workspace-state.json ]] && return 0
  mkdir -p "$scratch"
  cp -a "$repository"/.build/{checkouts,repositories,workspace-state.json} "$scratch/"
}

# All that a build needs, in the order in which it fails soonest.
prepare_to_build() {
  require_toolchain
  require_writable_checkout
  install_missing_packages
  fetch_dependencies
}
