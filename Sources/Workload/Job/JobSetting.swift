internal import DeviceLayers

/// One option as somebody gave it: which, what, and where.
package struct JobSetting: Sendable, Equatable {
  package let name: JobOption.Name
  package let value: OptionValue
  package let location: SourceLocation

  /// Reads an option.
  ///
  /// - Parameters:
  ///   - spelling: the option's name or alias, as written.
  ///   - text: the value, as written; nil when only the name was given.
  ///   - others: names that are options here beside a job's, for the suggestion.
  /// - Throws: `unknownOption`, `knownToFioOnly`, `onlyOnCommandLine` or `badValue`.
  init(
    _ spelling: String, _ text: String?, at location: SourceLocation, others: [String] = []
  ) throws(JobError) {
    guard let option = JobOption.named(spelling) else {
      if RunOptions.Flag(rawValue: spelling) != nil || StackOption(rawValue: spelling) != nil {
        throw .onlyOnCommandLine(spelling, at: location)
      }
      if FioOptionNames.all.contains(spelling) { throw .knownToFioOnly(spelling, at: location) }
      let names = JobOption.all.flatMap { [$0.name.rawValue] + $0.aliases } + others
      throw .unknownOption(spelling, nearest: nearestName(to: spelling, among: names), at: location)
    }
    name = option.name
    self.location = location
    do throws(ValueProblem) {
      value = try option.kind.parse(text)
    } catch {
      throw .badValue(option: spelling, value: text ?? "", error, at: location)
    }
  }
}
