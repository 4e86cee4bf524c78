// What the verbs of the fault laboratory have in common.
internal import ArgumentParser
internal import CLinux
internal import Ext2
internal import FaultLab
internal import PageCache
internal import SystemPackage
internal import Workload

/// What is printed.
enum LabFormat: String, ExpressibleByArgument, CaseIterable {
  case normal, json
}

/// When a run ends before it has done everything: at ⌃C, or when its time is over.
struct LabEnd {
  static let interrupted = "interrupted"
  private let interruption = Interruption()
  private let deadline: UInt64?

  /// `budget`: a time such as 60s, from now on.
  init(budget: String?) throws { deadline = try budget.map { cl_monotonic_ns() + (try budgetNanoseconds($0)) } }

  /// Why it ends now; nil: it goes on.
  var reason: String? {
    if interruption.hasCome { return Self.interrupted }
    if let deadline, cl_monotonic_ns() >= deadline { return "the budget is spent" }
    return nil
  }
}

/// The time of `--budget`.
func budgetNanoseconds(_ text: String) throws -> UInt64 {
  guard case .number(let value) = try? JobOption.Kind.duration.parse(text), value > 0 else {
    throw ValidationError("--budget \(text): a time is wanted, such as 60s or 10m")
  }
  return value
}

/// The rule of `--mutant`.
func switchedOffRule(named name: String) throws -> SwitchedOffRules {
  guard let rule = SwitchedOffRules.all.first(where: { $0.name == name }) else {
    throw ValidationError("--mutant '\(name)': not one of --list-mutants")
  }
  return rule.rule
}

/// The word of `--frees`.
func freesName(_ text: String) throws -> FreesName {
  guard let frees = FreesName(rawValue: text) else {
    throw ValidationError("--frees=\(text): there are plain and ordered")
  }
  return frees
}

/// Writes the file of `--trace`.
func writeTrace(_ trace: ChromeTrace, to path: String) throws {
  do {
    let file = try openForWriting(path)
    guard print(trace.text, to: file, terminator: "") else { throw Errno.ioError }
    try file.close()
  } catch { throw ValidationError("--trace \(path): cannot be written: \(error)") }
}
