import Logging
import Support
import Testing

@testable import Workload

/// Reads arguments as the command does and runs them.
func runJobs(_ arguments: [String], seed: UInt64 = 1, control: RunControl = quietControl()) async throws -> RunReport {
  let plan = try WorkloadPlan(RunArguments(arguments), files: []).seeded(with: seed)
  return try await WorkloadRunner.run(plan, control: control)
}

/// A control that nobody looks at.
func quietControl() -> RunControl {
  RunControl(logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
}

/// A storm in small: writers and truncators on the same files, growers, a small cache, small batches.
func smallStorm(engine: String, runtime: String, more: [String] = []) -> [String] {
  [
    "--target=fs", "--ioengine=\(engine)", "--image_size=24m", "--allocation=next-fit", "--runtime=\(runtime)",
    "--time_based", "--bs=16k", "--cache_size=3m", "--dirty_limit=2m", "--dirty_background=1m", "--wb_batch=16k",
    "--queue_depth=4", "--randseed=1",
  ] + more + [
    "--name=writers", "--filename=shared.0:shared.1", "--size=2m", "--numjobs=2", "--iodepth=4",
    "--fs_ops=write:20,append:45,read:34,fsync:1",
    "--name=truncators", "--filename=shared.0:shared.1", "--size=2m", "--iodepth=2", "--fs_ops=truncate:4,read:96",
    "--name=growers", "--filename=grower.0:grower.1", "--size=4m", "--numjobs=2", "--iodepth=2",
    "--fs_ops=append:45,read:52,truncate:2,fsync:1",
  ]
}
