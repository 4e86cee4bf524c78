// The same work on a volume of ours, in process, and on a folder that somebody else has mounted: tools/bench files.
//
//     files-bench ours IMAGE WORK          on the ext2 volume in IMAGE
//     files-bench folder DIRECTORY WORK    on whatever is mounted there
//
// WORK:
//     write      (a) 2,048 writes of 128 KiB to one file, then fsync
//     read       (b) that file from its start to its end, in pieces of 128 KiB; the cache is cold for ours
//     overwrite  (c) 16,384 random overwrites of 4 KiB in a file of 64 MiB, then fsync
//     create     (d) 100 directories, 10,000 files of 4 KiB in them, then sync; (e) unlink those files, then sync
//     names N    a directory of N files; then lookups of random ones
//     robin      100 files written in turn, 1 MiB each in appends of 4 KiB
//     mount      (ours) mount and unmount
//
// Prints `name value` lines; times are in seconds.
internal import Dispatch
internal import Glibc
internal import Reactor

@main
enum FilesBench {
  /// Not an async `main`, which gives up the process's first thread: valgrind does not survive that.
  static func main() {
    let ended = DispatchSemaphore(value: 0)
    Task.detached {
      do { try await run(Array(CommandLine.arguments.dropFirst())) } catch {
        print("files-bench: \(error)")
        exit(1)
      }
      ended.signal()
    }
    ended.wait()
  }

  private static func run(_ words: [String]) async throws {
    guard words.count >= 3 else {
      print("usage: files-bench ours IMAGE WORK | folder DIRECTORY WORK")
      exit(2)
    }
    let count = words.count > 3 ? Int(words[3]) ?? 1_000_000 : 1_000_000
    if words[0] == "ours" {
      try await runOurs(words[1], words[2], count)
    } else {
      try runFolder(words[1], words[2], count)
    }
  }
}

/// Before these, a file of that many MiB is written and removed: a cache that has existed for a while has its memory, and
/// nobody's time is that in which the system finds pages.
let warmUpPieces = 64
func isTimed(_ work: String) -> Bool { ["write", "read", "overwrite", "create"].contains(work) }

/// The pages of the random overwrites, in order: the same for everybody.
func overwrittenPages() -> [Int] {
  var random = SeededGenerator(seed: 42)
  return (0..<16_384).map { _ in random.below(16_384) }
}

/// How many contiguous runs a set of pages has.
func runCount(_ pages: [Int]) -> Int {
  let sorted = Set(pages).sorted()
  return zip(sorted, sorted.dropFirst()).count { $1 != $0 + 1 } + (sorted.isEmpty ? 0 : 1)
}

func peakKibibytes() -> Int {
  guard let file = unsafe fopen("/proc/self/status", "r") else { return 0 }
  defer { unsafe fclose(file) }
  var line = [CChar](repeating: 0, count: 256)
  while unsafe fgets(&line, 256, file) != nil {
    let text = String(decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    if text.hasPrefix("VmHWM:") { return Int(text.split(whereSeparator: \.isWhitespace)[1]) ?? 0 }
  }
  return 0
}
