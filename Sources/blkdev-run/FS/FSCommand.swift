internal import Reactor

/// One verb of `blkdev-run fs`.
struct FSCommand {
  let name: String
  /// What follows the name.
  let usage: String
  /// What it does, in a line.
  let summary: String
  let options: [VerbOption]
  /// How many operands it takes.
  let operandCount: ClosedRange<Int>
  let access: FSSession.Access
  /// Of a word that begins with a dash: whether it is an operand all the same.
  var isOperand: @Sendable (String) -> Bool = { _ in false }
  /// Whether --output-format means something to it; it may stand behind the verb, too.
  var printsJSON = false
  let run: @Sendable (FSSession, VerbArguments) async throws(FSError) -> Void

  /// All verbs, in the order of the help.
  static let all: [FSCommand] =
    listing + contents + names + statuses + attributes + ranges + trees + wholeVolume

  /// The verb with a name.
  ///
  /// - Throws: `usage`.
  static func named(_ word: [UInt8]) throws(FSError) -> FSCommand {
    let name = String(decoding: word, as: UTF8.self)
    if let command = all.first(where: { $0.name == name }) { return command }
    throw .usage("no verb is named '\(name)'" + FSOptions.hint(name, all.map(\.name)) + " (fs help lists all)")
  }

  /// Its arguments.
  ///
  /// - Throws: `usage`.
  func parse(_ words: [[UInt8]]) throws(FSError) -> VerbArguments {
    do throws(FSError) {
      let arguments = try VerbArguments(
        words, options + (printsJSON ? [.value("output-format")] : []), isOperand: isOperand)
      if let format = arguments.text("output-format") { _ = try FSOptions.format(format) }
      if arguments.operands.count < operandCount.lowerBound { throw .usage("an operand is missing") }
      if arguments.operands.count > operandCount.upperBound {
        throw .usage("one operand too many: '\(arguments.text(operandCount.upperBound))'")
      }
      return arguments
    } catch { throw .usage("\(name): \(error)\nUsage: \(name) \(usage)") }
  }

  /// Runs a line of words: a verb and what belongs to it.
  static func run(_ words: [[UInt8]], in session: FSSession) async throws(FSError) {
    guard let name = words.first else { return }
    let command = try named(name)
    let arguments = try command.parse(Array(words.dropFirst()))
    session.format = try arguments.text("output-format").map(FSOptions.format) ?? session.options.format
    do throws(FSError) {
      // On the volume's reactor: copies of trees make several short calls a file, and a hop there and back costs more than
      // most of them. What blocks meanwhile, a read of a host file, holds up nobody but the copy itself.
      try await session.reactor.run { () async throws(FSError) in try await command.run(session, arguments) }
    } catch {
      // What was printed before it failed comes first.
      try session.output.flush()
      if case .usage(let text) = error { throw .usage("\(text)\nUsage: \(command.name) \(command.usage)") }
      throw error
    }
    try session.output.flush()
  }
}
