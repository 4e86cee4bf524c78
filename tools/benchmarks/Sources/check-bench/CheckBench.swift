// Our side of tools/bench check, and e2fsck beside it.
//
//     check-bench memory IMAGE ROUNDS    checks of an image in memory, and e2fsck processes on the file, in turn
//     check-bench file IMAGE ROUNDS      one check of the file, and one e2fsck process, in turn
//
// Prints `name value` lines: medians and least over the rounds, in microseconds a check, and their ratios.
internal import Ext2Tools
internal import Glibc

@main
enum CheckBench {
  static func main() throws {
    let words = CommandLine.arguments
    guard words.count == 4, let rounds = Int(words[3]), rounds > 0, ["memory", "file"].contains(words[1]) else {
      print("usage: check-bench memory|file IMAGE ROUNDS")
      exit(2)
    }
    let isInMemory = words[1] == "memory"
    let file = try FileBytes(path: words[2])
    let volume: any VolumeBytes = isInMemory ? MemoryBytes(try contents(file)) : file
    let checker = VolumeChecker()
    let isClean = try checker.check(volume).isClean
    let process = try E2fsck(image: words[2])
    guard process.run() == isClean else {
      print("check-bench: e2fsck says otherwise: ours \(isClean ? "clean" : "not clean")")
      exit(1)
    }
    // Enough to be measured: some 20 ms of each in each round.
    let ours = isInMemory ? 2000 : 1
    let theirs = isInMemory ? 10 : 1
    var figures: (ours: [Double], theirs: [Double]) = ([], [])
    for _ in 0..<rounds {
      var begin = now()
      for _ in 0..<ours where try checker.check(volume).isClean != isClean { exit(1) }
      figures.ours.append((now() - begin) / Double(ours))
      begin = now()
      for _ in 0..<theirs where process.run() != isClean { exit(1) }
      figures.theirs.append((now() - begin) / Double(theirs))
    }
    let (our, their) = (median(figures.ours), median(figures.theirs))
    print("clean \(isClean)\nours_us \(our)\ne2fsck_us \(their)\nratio \(their / our)")
    // On a machine with other work the least of each is steadier.
    let (ourLeast, theirLeast) = (figures.ours.min() ?? 0, figures.theirs.min() ?? 0)
    print("ours_least_us \(ourLeast)\ne2fsck_least_us \(theirLeast)\nleast_ratio \(theirLeast / ourLeast)")
    var usage = rusage()
    // 0 is RUSAGE_SELF, -1 RUSAGE_CHILDREN.
    unsafe getrusage(.init(0), &usage)
    print("ours_peak_mib \(usage.ru_maxrss / 1024)")
    unsafe getrusage(.init(-1), &usage)
    print("e2fsck_peak_mib \(usage.ru_maxrss / 1024)")
  }

  private static func contents(_ file: FileBytes) throws -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: Int(file.byteCount))
    var target = bytes.mutableSpan
    var raw = unsafe target.mutableBytes
    try file.read(at: 0, into: &raw)
    return bytes
  }

  private static func median(_ figures: [Double]) -> Double { figures.sorted()[figures.count / 2] }

  /// Microseconds of the monotonic clock.
  private static func now() -> Double {
    var time = timespec()
    unsafe clock_gettime(CLOCK_MONOTONIC, &time)
    return Double(time.tv_sec) * 1e6 + Double(time.tv_nsec) / 1e3
  }
}

/// `e2fsck -fn` as a process.
struct E2fsck {
  struct Failure: Error { let what: String }
  private let path: String
  private let image: String

  init(image: String) throws {
    self.image = image
    let folders = ["/sbin", "/usr/sbin", "/usr/bin"]
    guard let folder = folders.first(where: { unsafe access($0 + "/e2fsck", X_OK) == 0 }) else {
      throw Failure(what: "no e2fsck")
    }
    path = folder + "/e2fsck"
  }

  /// Whether it exits with 0.
  func run() -> Bool {
    var actions = unsafe posix_spawn_file_actions_t()
    unsafe posix_spawn_file_actions_init(&actions)
    defer { unsafe posix_spawn_file_actions_destroy(&actions) }
    for stream in [1, 2] as [Int32] {
      unsafe posix_spawn_file_actions_addopen(&actions, stream, "/dev/null", O_WRONLY, 0)
    }
    let arguments = unsafe [strdup("e2fsck"), strdup("-fn"), strdup(image), nil]
    defer { for index in unsafe arguments.indices { unsafe free(arguments[index]) } }
    var process = pid_t()
    guard unsafe posix_spawn(&process, path, &actions, nil, arguments, environ) == 0 else { return false }
    var status: Int32 = 0
    unsafe waitpid(process, &status, 0)
    return status == 0
  }
}
