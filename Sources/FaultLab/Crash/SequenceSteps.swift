// The bounded workloads: every operation on a small tree, with every way to make it durable behind it, one, two or three
// in a row (Mohan et al., "Finding Crash-Consistency Bugs with Bounded Black-Box Crash Testing", OSDI 2018: that few
// operations on so small a tree find nearly everything).
internal import Ext2
internal import Workload

/// An operation of a sequence, and what follows it.
struct SequenceElement: Sendable {
  /// The operation, and what makes it durable, if anything does.
  let steps: [CrashStep]
}

/// The workloads `seq1`, `seq2` and `seq3`.
package enum Sequences {
  /// The tree that sequences begin with: two directories, two of four files, of which one has an indirect block and a hole,
  /// and an empty directory in each; besides, a directory whose block is full of names of one file with an attribute block.
  package static func preparation(blockSize: Int) -> [CrashStep] {
    var steps = [
      makeDirectory("/A"), makeDirectory("/B"), makeDirectory("/A/dir"), makeDirectory("/B/dir"),
      fill("/A/foo", 0, 3500, stamp: 1), fill("/B/foo", 0, 16_000, stamp: 2), punch("/B/foo", 4096, 4096),
      makeDirectory("/A/names"), create(longName(0)), setAttribute(longName(0), "user.shared", sharedValue),
    ]
    // "." and "..", then names that take 264 bytes each.
    for index in 1..<(blockSize - 24) / 264 { steps.append(link(longName(0), longName(index))) }
    return steps
  }

  /// One of the names in the full directory, as long as a name can be.
  private static func longName(_ index: Int) -> String {
    let digits = String(index)
    return "/A/names/" + digits + String(repeating: "-", count: 255 - digits.count)
  }
  /// Too long for an inode.
  private static let sharedValue = String(repeating: "shared", count: 20)

  private static let directories = ["/A", "/B"]
  private static let existing = ["/A/foo", "/B/foo"]
  private static let missing = ["/A/bar", "/B/bar"]

  /// All elements, in a fixed order. `position` makes what is written by each place in a sequence different.
  static func elements(position: Int) -> [SequenceElement] {
    operations(position).flatMap { operation in
      ways(operation).map { way in SequenceElement(steps: operation.steps + (way.map { [$0] } ?? [])) }
    }
  }

  /// How many elements there are.
  static let elementCount = elements(position: 0).count

  /// How many sequences of that length there are.
  package static func count(length: Int) -> Int { (0..<length).reduce(1) { count, _ in count * elementCount } }

  /// The sequence with a number.
  package static func steps(_ number: Int, length: Int) -> [CrashStep] {
    var rest = number
    var steps: [CrashStep] = []
    for position in (0..<length).reversed() {
      let divisor = count(length: position)
      steps += all[length - 1 - position][rest / divisor].steps
      rest %= divisor
    }
    return steps
  }

  private static let all = (0..<3).map(elements(position:))

  // MARK: Operations

  private struct Operation {
    let steps: [CrashStep]
    /// The file that it leaves, and can be made durable; nil when none is left.
    let file: String?
    /// The directory that it changes.
    let directory: String
  }

  private static func ways(_ operation: Operation) -> [CrashStep?] {
    var ways: [CrashStep?] = [nil]
    if let file = operation.file {
      ways.append(synchronize(file))
      ways.append(synchronizeData(file))
    }
    ways.append(synchronizeDirectory(operation.directory))
    ways.append(
      CrashStep("sync", .everything) { volume in try await volume.synchronize() })
    return ways
  }

  private static func operations(_ position: Int) -> [Operation] {
    var operations: [Operation] = []
    var stamp = UInt64(10 + 100 * position)
    func add(_ steps: CrashStep..., file: String?, in directory: String) {
      operations.append(Operation(steps: steps, file: file, directory: directory))
    }
    func add(_ step: CrashStep, _ file: String?, _ directory: String) { add(step, file: file, in: directory) }
    func nextStamp() -> UInt64 {
      stamp += 1
      return stamp
    }
    for file in existing + missing {
      let directory = String(file.prefix(2))
      add(fill(file, 5000, 2000, stamp: nextStamp()), file, directory)
      add(append(file, 1500, stamp: nextStamp()), file, directory)
    }
    for file in existing {
      let directory = String(file.prefix(2))
      add(fill(file, 500, 2000, stamp: nextStamp()), file, directory)
      add(truncate(file, 20_000), file, directory)
      add(truncate(file, 1000), file, directory)
      add(punch(file, 1024, file == "/A/foo" ? 2048 : 14_000), file, directory)
      // One that fits in the inode, and one that needs a block.
      add(setNote(file, position, count: file == "/A/foo" ? 1 : 60), file, directory)
      add(unlink(file), nil, directory)
    }
    for (file, other) in zip(missing, existing) {
      let directory = String(file.prefix(2))
      add(create(file), file, directory)
      add(link(other, file), file, directory)
      add(rename(other, file), file, directory)
    }
    for (from, to) in [("/A/foo", "/B/bar"), ("/B/foo", "/A/bar")] {
      add(link(from, to), to, String(to.prefix(2)))
      add(rename(from, to), to, String(to.prefix(2)))
    }
    for (from, to) in [("/A/foo", "/B/foo"), ("/B/foo", "/A/foo")] { add(rename(from, to), to, String(to.prefix(2))) }
    add(rename("/A/dir", "/A/new"), "/A/new", "/A")
    add(rename("/A/dir", "/B/new"), "/B/new", "/B")
    add(rename("/A/dir", "/B/dir"), "/B/dir", "/B")
    for directory in directories {
      add(makeDirectory(directory + "/made"), directory + "/made", directory)
      add(removeDirectory(directory + "/dir"), nil, directory)
    }
    add(symbolicLink("short", "/A/sym"), nil, "/A")
    add(symbolicLink(String(repeating: "long/", count: 20), "/B/sym"), nil, "/B")
    add(setNote("/A", position, count: 1), "/A", "/A")
    add(
      change("/A/foo", "chmod \(600 + position)", StatusChanges(permissions: 0o600 + UInt16(position))), "/A/foo", "/A")
    add(
      change("/B/foo", "chown \(70_000 + position):8", StatusChanges(user: 70_000 + UInt32(position), group: 8)),
      "/B/foo", "/B")
    // The directory gets a second block.
    add(create(longName(1000)), longName(1000), "/A/names")
    // Other names of the file are left.
    add(unlink(longName(1)), longName(0), "/A/names")
    // Two inodes share an attribute block.
    add(setAttribute("/B/foo", "user.shared", sharedValue), "/B/foo", "/B")
    // What was cut off is zero when it comes back.
    add(truncate("/A/foo", 1000), truncate("/A/foo", 3500), file: "/A/foo", in: "/A")
    return operations
  }

  // MARK: Steps

  private static func fill(_ path: String, _ offset: UInt64, _ count: Int, stamp: UInt64) -> CrashStep {
    CrashStep("fill -o \(offset) -l \(count) -s \(stamp) \(path)") { volume in
      let file = try await volume.open(path, create: true)
      do { try await file.write(content(offset, count, stamp), at: offset) } catch {
        await file.close()
        throw error
      }
      await file.close()
    }
  }

  private static func append(_ path: String, _ count: Int, stamp: UInt64) -> CrashStep {
    CrashStep("fill -a -l \(count) -s \(stamp) \(path)") { volume in
      let file = try await volume.open(path, create: true)
      do {
        let end = try await file.status().byteCount
        try await file.append(content(end, count, stamp))
      } catch {
        await file.close()
        throw error
      }
      await file.close()
    }
  }

  private static func content(_ offset: UInt64, _ count: Int, _ stamp: UInt64) -> [UInt8] {
    ContentStamp(seed: stamp).bytes(count, at: offset)
  }

  private static func withFile(
    _ path: String, _ line: String, _ persistence: Persistence...,
    body: @escaping @Sendable (File) async throws -> Void
  ) -> CrashStep {
    CrashStep(line, persistence) { volume in
      let file = try await volume.open(path)
      do { try await body(file) } catch {
        await file.close()
        throw error
      }
      await file.close()
    }
  }

  private static func truncate(_ path: String, _ size: UInt64) -> CrashStep {
    withFile(path, "truncate -s \(size) \(path)") { file in try await file.truncate(to: size) }
  }
  private static func punch(_ path: String, _ start: UInt64, _ count: UInt64) -> CrashStep {
    withFile(path, "fallocate -p -o \(start) -l \(count) \(path)") { file in
      try await file.punch(start..<start + count)
    }
  }
  private static func synchronize(_ path: String) -> CrashStep {
    CrashStep("fsync \(path)", .file(Array(path.utf8), dataOnly: false)) { volume in
      try await volume.synchronize(path)
    }
  }
  private static func synchronizeData(_ path: String) -> CrashStep {
    withFile(path, "fsync -d \(path)", .file(Array(path.utf8), dataOnly: true)) { file in
      try await file.synchronizeData()
    }
  }
  private static func synchronizeDirectory(_ path: String) -> CrashStep {
    CrashStep("fsync \(path)", .directory(Array(path.utf8))) { volume in
      try await volume.synchronize(path)
    }
  }
  private static func create(_ path: String) -> CrashStep {
    CrashStep("touch \(path)") { volume in
      let file = try await volume.open(path, create: true)
      await file.close()
    }
  }
  private static func makeDirectory(_ path: String) -> CrashStep {
    CrashStep("mkdir \(path)") { volume in try await volume.makeDirectory(path) }
  }
  private static func removeDirectory(_ path: String) -> CrashStep {
    CrashStep("rmdir \(path)") { volume in try await volume.removeDirectory(path) }
  }
  private static func link(_ path: String, _ newPath: String) -> CrashStep {
    CrashStep("ln \(path) \(newPath)") { volume in try await volume.link(path, to: newPath) }
  }
  private static func unlink(_ path: String) -> CrashStep {
    CrashStep("rm \(path)") { volume in try await volume.unlink(path) }
  }
  private static func rename(_ path: String, _ newPath: String) -> CrashStep {
    CrashStep("mv -T \(path) \(newPath)") { volume in
      try await volume.rename(path, to: newPath)
    }
  }
  private static func symbolicLink(_ target: String, _ path: String) -> CrashStep {
    CrashStep("ln -s \(target) \(path)") { volume in
      try await volume.makeSymbolicLink(path, to: target)
    }
  }
  private static func setNote(_ path: String, _ position: Int, count: Int) -> CrashStep {
    setAttribute(path, "user.note", String(repeating: "value\(position)", count: count))
  }
  private static func setAttribute(_ path: String, _ name: String, _ value: String) -> CrashStep {
    CrashStep("setfattr -n \(name) -v \(value) \(path)") { volume in
      try await volume.setAttribute(name, to: Array(value.utf8), of: path)
    }
  }
  private static func change(_ path: String, _ verb: String, _ changes: StatusChanges) -> CrashStep {
    CrashStep("\(verb) \(path)") { volume in try await volume.change(path, changes) }
  }
}
