internal import BlockDevice
internal import DeviceLayers

extension CrashRecording {
  /// The last requests before a cut and what became of them, a line each.
  package func timeline(of state: MediumState, limit: Int = 40) -> [String] {
    var lines: [String] = []
    let fates = Dictionary(uniqueKeysWithValues: zip(state.pending, state.kept))
    for event in history.events[..<state.event] {
      switch event {
      case .started(let index):
        let write = history.writes[index]
        var fate = "durable"
        if let isKept = fates[index] { fate = isKept ? "kept" : "lost" }
        if let torn = state.torn, torn.write == index {
          fate = "torn: sectors \(torn.sectors.lowerBound) to \(torn.sectors.upperBound - 1) kept"
        }
        let what = write.isFileData ? "data of inode \(write.owner)" : "metadata"
        lines.append(
          "write \(index): \(write.operation) of \(write.byteCount) bytes at \(write.offset), \(what): \(fate)")
      case .completed(let index, let isDone): lines.append("write \(index) \(isDone ? "completes" : "fails")")
      case .flushStarted(let number): lines.append("flush \(number)")
      case .flushCompleted(let number, let isDone): lines.append("flush \(number) \(isDone ? "completes" : "fails")")
      case .mark(let text):
        if let mark = StepMark(text) { lines.append("\(mark.text): \(steps[mark.step - 1].line)") }
      }
    }
    lines.append("the power is cut")
    return lines.suffix(limit)
  }
}
