// What the verbs of the fault laboratory have in common.
internal import ArgumentParser
internal import PageCache
internal import Workload

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
