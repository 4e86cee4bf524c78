/// A job file in fio's format, read into sections.
///
///     ; a comment, as is everything behind a ; or a # anywhere on a line
///     [global]            options for all sections that follow
///     bs=4k
///     [writers]           a job of this name
///     rw = randwrite      blanks around the name, the sign and the value do not matter
///     time_based          a boolean alone means 1
///
/// As in fio: a name or value cannot contain `;` or `#`; there are no continued lines; of an option given twice the last
/// one counts; a second [global] adds to the first, for the sections behind it.
package struct JobFile: Sendable, Equatable {
  /// One job of the file.
  package struct Section: Sendable, Equatable {
    package let name: String
    package let location: SourceLocation
    /// What [global] said up to here, then what the section says: of two that name one option the last one counts.
    package var settings: [JobSetting]
  }

  package let path: String
  package let sections: [Section]

  /// Reads the text of a job file; `path` only serves the messages.
  ///
  /// - Throws: the first thing that is wrong, with its line.
  package init(path: String, text: String) throws(JobError) {
    self.path = path
    var sections: [Section] = []
    var globals: [JobSetting] = []
    var inGlobal = false
    var number = 0
    // Swift takes the pair CR LF for one character; other separators of Unicode are no ends of lines to an editor.
    for line in text.split(omittingEmptySubsequences: false, whereSeparator: { $0 == "\n" || $0 == "\r\n" }) {
      number += 1
      let location = SourceLocation.file(path, line: number)
      let content = line.prefix { $0 != ";" && $0 != "#" }.trimmingBlanks()
      if content.isEmpty { continue }
      if content.hasPrefix("[") {
        let name = try Self.sectionName(content, at: location)
        inGlobal = name == "global"
        if !inGlobal { sections.append(Section(name: name, location: location, settings: globals)) }
        continue
      }
      let (spelling, value) = try Self.keyAndValue(content, at: location)
      guard inGlobal || !sections.isEmpty else { throw .syntax(.optionOutsideSection(spelling), at: location) }
      let setting = try JobSetting(spelling, value, at: location)
      if inGlobal { globals.append(setting) } else { sections[sections.count - 1].settings.append(setting) }
    }
    self.sections = sections
  }

  private static func sectionName(_ content: String, at location: SourceLocation) throws(JobError) -> String {
    guard let end = content.lastIndex(of: "]") else { throw .syntax(.unclosedSection, at: location) }
    let rest = content[content.index(after: end)...]
    guard rest.isEmpty else { throw .syntax(.textAfterSection(rest.trimmingBlanks()), at: location) }
    let name = content[..<end].dropFirst().trimmingBlanks()
    guard !name.isEmpty else { throw .syntax(.emptySectionName, at: location) }
    return name
  }

  private static func keyAndValue(
    _ content: String, at location: SourceLocation
  ) throws(JobError) -> (String, String?) {
    guard let sign = content.firstIndex(of: "=") else {
      if content.hasPrefix("include ") { throw .syntax(.includeNotSupported, at: location) }
      return (content, nil)
    }
    let key = content[..<sign].trimmingBlanks()
    let value = content[content.index(after: sign)...].trimmingBlanks()
    guard !key.isEmpty else { throw .syntax(.missingKey, at: location) }
    // fio would put an environment variable or a keyword here; taking the text as it stands would be silently wrong.
    if let dollar = value.firstIndex(of: "$") {
      throw .syntax(.variableNotSupported(String(value[dollar...])), at: location)
    }
    return (key, value)
  }
}
