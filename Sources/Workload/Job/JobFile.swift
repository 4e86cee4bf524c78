/// A job file in fio's format, read into sections.
///
///     ; a comment, as is everything behind a ; or a # anywhere on a line
///     [global]            options for all sections that follow
///     bs=4k
///     [writers]           a job of this name
///     rw = randwrite      blanks around the name, the sign and the value do not matter
///     time_based          a boolean alone means 1
///     size=${SIZE}        a variable of the environment
///     include FILE        the options in FILE, which has no sections
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

  /// What a job file may refer to outside of itself; reading it is the caller's part.
  package struct Surroundings: Sendable {
    let readText: @Sendable (String) throws -> String
    let variable: @Sendable (String) -> String?

    /// - Parameters:
    ///   - readText: the text of a file that is included.
    ///   - variable: the value of a variable of the environment; nil: it is not set.
    package init(
      readText: @escaping @Sendable (String) throws -> String = { _ in throw NoFiles() },
      variable: @escaping @Sendable (String) -> String? = { _ in nil }
    ) {
      self.readText = readText
      self.variable = variable
    }
  }

  private struct NoFiles: Error, CustomStringConvertible { let description = "no files are read here" }

  /// Reads the text of a job file; `path` serves the messages, and what is included is looked for beside it too.
  ///
  /// - Throws: the first thing that is wrong, with its line.
  package init(path: String, text: String, _ surroundings: Surroundings = Surroundings()) throws(JobError) {
    self.path = path
    var reader = Reader(surroundings: surroundings)
    try reader.read(text, path: path, depth: 0)
    sections = reader.sections
  }

  /// A job file while it is read.
  private struct Reader {
    let surroundings: Surroundings
    var sections: [Section] = []
    var globals: [JobSetting] = []
    var inGlobal = false
    /// As in fio.
    static let includeDepthLimit = 10

    mutating func read(_ text: String, path: String, depth: Int) throws(JobError) {
      var number = 0
      // What some editors put before everything else.
      let text = text.unicodeScalars.first == "\u{FEFF}" ? String(text.unicodeScalars.dropFirst()) : text
      // Swift takes the pair CR LF for one character; other separators of Unicode are no ends of lines to an editor.
      for line in text.split(omittingEmptySubsequences: false, whereSeparator: { $0 == "\n" || $0 == "\r\n" }) {
        number += 1
        let location = SourceLocation.file(path, line: number)
        let content = line.prefix { $0 != ";" && $0 != "#" }.trimmingBlanks()
        if content.isEmpty { continue }
        if content.hasPrefix("[") {
          if depth > 0 { throw .syntax(.sectionInInclude, at: location) }
          let name = try JobFile.sectionName(content, at: location)
          inGlobal = name == "global"
          if !inGlobal { sections.append(Section(name: name, location: location, settings: globals)) }
          continue
        }
        if content.hasPrefix("include "), !content.contains("=") {
          try include(content.dropFirst("include ".count).trimmingBlanks(), from: path, depth, at: location)
          continue
        }
        let (spelling, text) = try JobFile.keyAndValue(content, at: location)
        guard inGlobal || !sections.isEmpty else { throw .syntax(.optionOutsideSection(spelling), at: location) }
        var value = text
        if let text {
          // There keywords are the option's own.
          let hasKeywords = spelling == JobOption.Name.filenameFormat.rawValue
          value = try expanded(text, hasKeywords: hasKeywords, at: location)
        }
        let setting = try JobSetting(spelling, value, at: location)
        if inGlobal { globals.append(setting) } else { sections[sections.count - 1].settings.append(setting) }
      }
    }

    /// As in fio, an included file has options only, and stands in the working folder or beside the one that includes it.
    private mutating func include(
      _ name: String, from path: String, _ depth: Int, at location: SourceLocation
    ) throws(JobError) {
      if depth == Self.includeDepthLimit { throw .syntax(.includesTooDeep(limit: depth), at: location) }
      let beside = path.lastIndex(of: "/").map { path[...$0] + name } ?? name
      var problem = ""
      for candidate in name.hasPrefix("/") || beside == name ? [name] : [name, beside] {
        let text: String
        do { text = try surroundings.readText(candidate) } catch {
          problem = "\(error)"
          continue
        }
        return try read(text, path: candidate, depth: depth + 1)
      }
      throw .syntax(.cannotInclude(name, reason: problem), at: location)
    }

    /// With the values of the environment's variables in the place of `${NAME}`.
    private func expanded(
      _ text: String, hasKeywords: Bool, at location: SourceLocation
    ) throws(JobError) -> String {
      var result = "", rest = text[...]
      while let dollar = rest.firstIndex(of: "$") {
        result += rest[..<dollar]
        let tail = rest[dollar...]
        if hasKeywords, !tail.hasPrefix("${") {
          result += "$"
          rest = tail.dropFirst()
          continue
        }
        // A keyword of fio ($ncpus); taking the text as it stands would be silently wrong.
        guard tail.hasPrefix("${"), let end = tail.firstIndex(of: "}") else {
          throw .syntax(.keywordNotSupported(String(tail)), at: location)
        }
        let name = String(tail[tail.index(dollar, offsetBy: 2)..<end])
        guard let value = surroundings.variable(name) else { throw .syntax(.variableNotSet(name), at: location) }
        result += value
        rest = tail[tail.index(after: end)...]
      }
      return result + rest
    }
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
      return (content, nil)
    }
    let key = content[..<sign].trimmingBlanks()
    let value = content[content.index(after: sign)...].trimmingBlanks()
    guard !key.isEmpty else { throw .syntax(.missingKey, at: location) }
    return (key, value)
  }
}
