# Reads the event stream of swift-testing (one JSON object a line) and tells what happened:
#   tests that failed, tests that never ended (the process died in them), tests that were skipped and why,
#   and last `N passed, N failed, N skipped`.
# Ends with 1 when something failed, when the run never ended, when nothing ran, or when a skip is not allowed.
#
# -v allowed=FILE   test identifiers that may be skipped, one a line; `#` starts a comment
# -v sanitized=1    the run was a sanitized one
# -v strict=1       a skip that is not in `allowed` is a failure (under CI)
# -v status=N       the exit status of `swift test`: a failure that left no event still counts
# -v extra_passed=N -v extra_failed=N   checks beside `swift test`, to be counted too
#
# Inside a JSON string every quotation mark is escaped, so `"key":"` can match a key only, never a message.

# The value of the first `"key":"…"`, unescaped as far as messages need it; "" when there is none.
function field(key, start, text) {
  if (!match($0, "\"" key "\":\"([^\"\\\\]|\\\\.)*\"")) return ""
  start = RSTART + length(key) + 4
  text = substr($0, start, RSTART + RLENGTH - 1 - start)
  gsub(/\\"/, "\"", text)
  gsub(/\\\//, "/", text)
  gsub(/\\\\/, "\\", text)
  return text
}

# A suite has no source position in its identifier; only functions are counted.
function is_function(id) { return id ~ /\.swift:[0-9]+:[0-9]+$/ }

# The identifier without the position, which would change with every edit of the file.
function stable(id) { sub(/\/[^\/]*\.swift:[0-9]+:[0-9]+$/, "", id); return id }

function note_skip(id, text) {
  skipped++
  reason = text
  # Test "name" skipped: "reason"  |  Test name() was cancelled after 0.001 seconds: "reason"
  if (match(reason, /(skipped|seconds): "/)) reason = substr(reason, RSTART + RLENGTH, length(reason) - RSTART - RLENGTH)
  print "skipped: " stable(id) ": " reason
  if (strict && !(stable(id) in may_skip)) {
    print "         not listed in Tests/allowed-skips"
    forbidden++
  }
}

BEGIN {
  while (allowed != "" && (getline line < allowed) > 0) {
    sub(/#.*/, "", line)
    gsub(/^[ \t]+|[ \t]+$/, "", line)
    # `any ID` may be skipped by every run, ID by a sanitized one alone.
    if (!sub(/^any[ \t]+/, "", line) && !sanitized) continue
    if (line != "") may_skip[line] = 1
  }
}

/"kind":"testStarted"/ {
  id = field("testID")
  if (is_function(id)) running[id] = 1
}
/"kind":"testSkipped"/ {
  id = field("testID")
  if (is_function(id)) note_skip(id, field("text"))
}
/"kind":"testEnded"/ {
  id = field("testID")
  if (!is_function(id)) next
  delete running[id]
  symbol = field("symbol")
  if (symbol == "fail") {
    failed++
    print "failed:  " stable(id)
  } else if (symbol == "skip") {
    note_skip(id, field("text"))
  } else {
    passed++
  }
}
/"kind":"runEnded"/ {
  ended++
  if (field("symbol") == "fail") run_failed = 1
}

END {
  for (id in running) {
    failed++
    print "failed:  " stable(id) ": never ended"
  }
  passed += extra_passed
  failed += extra_failed
  if (!ended) print "failed:  the test process died before its end"
  else if ((run_failed || status != 0) && !failed) print "failed:  the run, outside every test"
  if (passed + failed + skipped == 0) print "failed:  no test ran"
  printf "%d passed, %d failed, %d skipped\n", passed, failed, skipped
  exit (failed || forbidden || !ended || run_failed || status != 0 || passed == 0)
}
