import DeviceLayers
import Glibc
import Logging
import Support
import Synchronization
import SystemPackage
import Testing

@testable import Workload

/// Reads arguments as the command does and runs them.
func runJobs(_ arguments: [String], seed: UInt64 = 1, control: RunControl = quietControl()) async throws -> RunReport {
  var parsed = try RunArguments(arguments)
  parsed.options.stack = try StackDescription(parsed.layers) { _ throws(Errno) in throw Errno.noSuchFileOrDirectory }
  let plan = try WorkloadPlan(parsed, files: []).seeded(with: seed)
  return try await WorkloadRunner.run(plan, control: control)
}

/// A control that nobody looks at.
func quietControl() -> RunControl {
  RunControl(logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
}

/// Whether there is a file of that name.
func isThere(_ path: String) -> Bool { unsafe access(path, F_OK) == 0 }

/// A storm in small: writers and truncators on the same files, growers, a small cache, small batches.
func smallStorm(engine: String, runtime: String, more: [String] = []) -> [String] {
  [
    "--target=fs", "--ioengine=\(engine)", "--image_size=24m", "--allocation=next-fit", "--runtime=\(runtime)",
    "--time_based", "--bs=32k", "--cache_size=3m", "--dirty_limit=2m", "--dirty_background=1792k", "--wb_batch=16k",
    "--queue_depth=4", "--randseed=1",
  ] + more + [
    "--name=writers", "--filename=shared.0:shared.1", "--size=2m", "--numjobs=2", "--iodepth=4",
    "--fs_ops=write:5,append:60,read:34,fsync:1",
    "--name=truncators", "--filename=shared.0:shared.1", "--size=2m", "--iodepth=2", "--fs_ops=truncate:30,read:70",
    "--name=growers", "--filename=grower.0:grower.1", "--size=4m", "--numjobs=2", "--iodepth=2",
    "--fs_ops=append:45,read:52,truncate:2,fsync:1",
  ]
}

/// Stops a run from its own progress: the run is asked to stop as soon as a line of it is as wanted.
final class Stopper: Sendable {
  private let control = Mutex<RunControl?>(nil)
  private let isDue: @Sendable (ProgressLine) -> Bool

  init(when isDue: @escaping @Sendable (ProgressLine) -> Bool) { self.isDue = isDue }

  func makeControl() -> RunControl {
    let made = RunControl(logger: quietControl().logger) { [weak self] line in
      if let self, isDue(line) { control.withLock { $0 }?.requestStop() }
    }
    control.withLock { $0 = made }
    return made
  }
}

/// A file that a test makes and that goes with it.
final class ScratchFile: Sendable {
  let path: String

  init(_ contents: [UInt8]) throws {
    var template = Array("\(TemporaryFile.folder)/blkdev-test-XXXXXX".utf8CString)
    let descriptor = unsafe mkstemp(&template)
    guard descriptor >= 0 else { throw Errno(rawValue: errno) }
    path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    let file = FileDescriptor(rawValue: descriptor)
    try file.closeAfter { _ = try file.writeAll(contents) }
  }
  deinit { _ = unsafe unlink(path) }
}
